import ArgumentParser
import LogCore
import LogFiles
import LogFormat
import Primitives

/// `keystead wal`: the write-ahead log of a node that is not running.
struct WAL: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wal", abstract: "Read a stopped node's write-ahead log.",
        subcommands: [Inspect.self, Verify.self])

    enum Output: String, ExpressibleByArgument {
        case table
        case json
    }

    struct Options: ParsableArguments {
        @Option(help: "Only this shard.") var shard: UInt32?
        @Option(help: "How to print: table or json.") var output = Output.table
        @Argument(help: "The node's data directory.") var dataDir: String

        /// Reads the whole log; ends the process where it cannot be listed.
        func report(_ visit: (LogInspection.RecordReport) -> Void = { _ in }) -> LogInspection.Report {
            do {
                return try LogInspection.inspect(
                    directory: dataDir + "/log", shard: shard.map { ShardID($0) }, visit: visit)
            } catch {
                Exit.failed("keystead wal: \(error)")
            }
        }
    }

    /// Lists every record.
    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print every record, and a summary by segment and shard.")
        @OptionGroup var options: Options

        func run() {
            let json = options.output == .json
            if !json { print("segment\toffset\ttype\tshard\tepoch\tposition\tlsn\tdurable-lsn\tbytes\tstored") }
            let report = options.report { record in
                let header = record.header
                let type = header.type.map { "\($0)" } ?? "unknown"
                if json {
                    print(
                        """
                        {"segment":"\(record.file)","offset":\(record.offset),"type":"\(type)",\
                        "shard":\(header.shard),"epoch":\(header.epoch),"position":\(header.position),\
                        "lsn":\(header.lsn),"durable-lsn":\(header.durableLSN),\
                        "bytes":\(header.payloadBytes),"stored":\(header.storedBytes)}
                        """)
                } else {
                    print(
                        [
                            record.file, "\(record.offset)", "\(type)", "\(header.shard)", "\(header.epoch)",
                            "\(header.position)", "\(header.lsn)", "\(header.durableLSN)", "\(header.payloadBytes)",
                            "\(header.storedBytes)",
                        ].joined(separator: "\t")
                    )
                }
            }
            if !json { WALReport(report).printTable() }
        }
    }

    /// Checks every record and says whether all that was acknowledged can be read.
    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check every record. Ends with 0 when all that was acknowledged can be read, else with 1.")
        @OptionGroup var options: Options

        func run() throws {
            let report = options.report()
            options.output == .json ? WALReport(report).printJSON() : WALReport(report).printTable()
            switch report.verdict {
            case .sound, .tornTail: return
            case .damaged, .unreadable: throw ExitCode(1)
            }
        }
    }
}
