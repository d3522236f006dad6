private import CPosixShims
import Glibc

/// What a process that runs nodes does before anything else.
public enum ProcessStart {
    /// Takes the values of secret settings out of the command line that others can read in /proc. Call it with the
    /// arguments copied, before any thread starts.
    public static func hideSecretArguments() {
        for setting in Setting.all where setting.isSecret { _ = ks_hide_argument(setting.flag) }
    }

    /// Files are made for this user alone; a closed terminal, pipe or standard descriptor harms nothing; a crash writes
    /// no core, in which entities and secrets would stand; and the signals to end are heard.
    ///
    /// SIGHUP is ignored until ``Node/run(_:reload:)`` hears it.
    public static func prepare() {
        _ = ks_fill_standard_descriptors()
        ks_make_private_files()
        ks_ignore_signal(SIGPIPE)
        ks_ignore_signal(SIGHUP)
        ks_refuse_cores()
        EndSignals.shared.listen()
    }
}
