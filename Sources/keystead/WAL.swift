import ArgumentParser
struct WAL: ParsableCommand { }
