/// Which floor each module stands on, and what a floor may import from outside the house. A module imports only modules
/// of lower floors, and the few neighbours that ``neighbours`` names; the package manifest holds the targets to it, and
/// this table holds the manifest.
enum Floors {
    static let byModule: [String: Int] = [
        "CRocksDB": 0, "CLZ4": 0, "CPosixShims": 0, "CStoreShims": 0,
        "Primitives": 1,
        "JSON": 2, "Entities": 2, "HashRing": 2, "LogFormat": 2,
        "LogCore": 3, "ShardCore": 3, "ClusterCore": 3, "PeerWire": 3, "Serving": 3,
        "LogFiles": 4, "RocksStore": 4, "ClusterMetadata": 4, "PeerTransport": 4, "HTTPFront": 4,
        "NodeRuntime": 5, "KeysteadClient": 5, "LoadGenerator": 5,
        "AdminTool": 6,
        // Executables stand above everything.
        "keystead": 7, "keysteadctl": 7, "keystead-simulate": 7,
        // The harness reaches no further than the core it drives, so nothing real can leak into a simulated run.
        "Simulator": 4,
    ]

    /// Modules of its own floor that a module may import.
    static let neighbours: [String: Set<String>] = ["Entities": ["JSON"]]

    /// The only modules that the simulator may import.
    static let core = 1...3

    /// Modules of other packages and of the system, by the lowest floor that may import them.
    static let lowestFloorOfGuests: [(module: String, floor: Int)] = [
        ("DequeModule", 1), ("BasicContainers", 1),
        ("Glibc", 4), ("Synchronization", 4), ("Dispatch", 5),
        ("NIOCore", 4), ("NIOPosix", 4), ("NIOConcurrencyHelpers", 4), ("Logging", 4),
        ("NIOHTTP1", 4), ("NIOSSL", 4), ("NIOEmbedded", 4), ("AsyncHTTPClient", 4), ("Histogram", 5),
        ("ServiceLifecycle", 5), ("UnixSignals", 5), ("Yams", 5), ("Metrics", 5), ("Prometheus", 5),
        ("NIOFoundationCompat", 5), ("FoundationEssentials", 4), ("ArgumentParser", 6), ("Foundation", 6),
    ]

    /// Why `module` may not import `imported`, or `nil` where it may.
    static func objection(to imported: String, in module: String) -> String? {
        guard let floor = byModule[module] else {
            return "the target \(module) stands on no floor: name it in Floors.swift"
        }
        if let lower = byModule[imported] {
            if module == "Simulator", lower != 0, !core.contains(lower) {
                return "the simulator imports \(imported) of floor \(lower); it may reach floors 1 to 3 only"
            }
            return lower < floor || neighbours[module]?.contains(imported) == true
                ? nil : "\(module) (floor \(floor)) imports \(imported) (floor \(lower)): only lower floors"
        }
        guard let guest = lowestFloorOfGuests.first(where: { $0.module == imported }) else {
            return "\(imported) is not a module that Floors.swift knows"
        }
        let effective = module == "Simulator" ? 3 : floor
        return effective >= guest.floor
            ? nil : "\(module) (floor \(floor)) imports \(imported): floor \(guest.floor) and up"
    }
}

/// An import statement: `public import NIOCore`, `import struct NIOCore.ByteBuffer`.
struct ImportStatement {
    let module: String
    let line: Int

    static func all(in file: SourceFile) -> [ImportStatement] {
        file.code.enumerated().compactMap { index, code in
            guard code.firstName(Array("import ".utf8)) != nil else { return nil }
            return parse(code).map { ImportStatement(module: $0, line: index + 1) }
        }
    }

    private static let modifiers: Set<String> = [
        "@preconcurrency", "@testable", "@_exported", "@_implementationOnly", "public", "package", "internal",
        "fileprivate",
        "private",
    ]
    private static let kinds: Set<String> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]

    private static func parse(_ code: ArraySlice<UInt8>) -> String? {
        var words = String(decoding: code, as: UTF8.self).split(separator: " ")[...]
        while let word = words.first, modifiers.contains(String(word)) { words.removeFirst() }
        guard words.first == "import" else { return nil }
        words.removeFirst()
        if let word = words.first, kinds.contains(String(word)) { words.removeFirst() }
        return words.first?.split(separator: ".").first.map(String.init)
    }
}
