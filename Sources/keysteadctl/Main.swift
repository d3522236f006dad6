import AdminTool

@main
enum Main {
    static func main() async {
        await Tool.main(Array(CommandLine.arguments.dropFirst()))
    }
}
