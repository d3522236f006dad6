import Foundation

/// The package records that `apt-cache dumpavail` prints, one JSON object a record.
struct PackageRecords {
    /// By `Package`, in the order of the records; of several versions of one package the last stands.
    let lines: [String]
    let byName: [String: String]

    init(in folder: TestFolder) throws {
        let result = try ChildProcess.run(
            try Programs.system("apt-cache"), ["dumpavail"], in: folder.path, name: "dumpavail")
        guard result.ending == .exited(0) else { throw HarnessError("apt-cache dumpavail failed: \(result.errors)") }
        var lines: [String] = []
        var byName: [String: String] = [:]
        for record in result.output.components(separatedBy: "\n\n") {
            let fields = Self.fields(of: record)
            guard let name = fields.first(where: { $0.name == "Package" })?.value, byName[name] == nil else { continue }
            let members = fields.map { "\(Self.quoted($0.name)):\(Self.quoted($0.value))" }
            let line = "{" + members.joined(separator: ",") + "}"
            lines.append(line)
            byName[name] = line
        }
        guard lines.count > 10_000 else {
            throw HarnessError(
                """
                apt knows \(lines.count) packages, and this test wants the whole archive: run apt-get update; it must \
                not be skipped
                """
            )
        }
        self.lines = lines
        self.byName = byName
    }

    private static func fields(of record: String) -> [(name: String, value: String)] {
        var fields: [(name: String, value: String)] = []
        for line in record.split(separator: "\n") {
            if line.first == " " || line.first == "\t" {
                guard !fields.isEmpty else { continue }
                fields[fields.count - 1].value += "\n" + line.dropFirst()
            } else if let colon = line.firstIndex(of: ":") {
                let value = line[line.index(after: colon)...].drop { $0 == " " }
                fields.append((String(line[..<colon]), String(value)))
            }
        }
        return fields
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20: result += String(format: "\\u%04x", scalar.value)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
