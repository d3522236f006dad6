import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Whether someone wants a long run to end: the seeds under way are finished and what is known is told. A second signal
/// ends the process at once.
enum Interruption {
    /// What a shell reports of a program that SIGINT ended.
    static let exitCode: Int32 = 130

    private static let asked = Atomic<Bool>(false)

    static var isAsked: Bool { asked.load(ordering: .relaxed) }

    static func install() {
        for wish in [SIGINT, SIGTERM] {
            signal(wish) { wish in
                signal(wish, SIG_DFL)
                Interruption.asked.store(true, ordering: .relaxed)
            }
        }
    }
}
