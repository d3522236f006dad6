// swift-tools-version: 6.2
import PackageDescription

// Targets stand by floor (lower never imports higher). Floors 1 to 3 are the sans-IO core: no clock, socket,
// file, thread, randomness or Foundation. `Tests/TidyTests` holds the tree to it.

/// Only a build made to grade the simulator contains the planted bugs of `Primitives/Mutant.swift`.
let plantedBugs: [SwiftSetting] =
    Context.environment["KEYSTEAD_MUTANTS"] == nil ? [] : [.define("KEYSTEAD_MUTANTS")]

/// Continuous integration takes no warnings; a developer's half-done work may have some.
let noWarnings: [SwiftSetting] =
    Context.environment["KEYSTEAD_STRICT"] == nil ? [] : [.treatAllWarnings(as: .error)]

let strict: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    ] + plantedBugs + noWarnings

func floor(_ name: String, _ dependencies: [Target.Dependency] = [], path: String? = nil) -> Target {
    .target(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

func tool(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioConcurrency: Target.Dependency = .product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let httpClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")

let package = Package(
    name: "keystead",
    products: [
        .executable(name: "keystead", targets: ["keystead"]),
        .executable(name: "keysteadctl", targets: ["keysteadctl"]),
        .library(name: "KeysteadClient", targets: ["KeysteadClient"]),
        // For the end-to-end tests: loaded before a program, it moves the program's clocks.
        .library(name: "TestClock", type: .dynamic, targets: ["CTestClock"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.100.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.30.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-collections.git", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.5.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.6.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.30.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.0.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift.git", from: "0.2.0"),
    ],
    targets: [
        // Floor 0: system libraries and C.
        .systemLibrary(
            name: "CRocksDB", pkgConfig: "rocksdb", providers: [.apt(["librocksdb-dev"])]),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .target(name: "CPosixShims"),
        .target(name: "CStoreShims", dependencies: ["CRocksDB"]),

        // Floor 1.
        floor("Primitives", ["CPosixShims"]),

        // Floor 2: pure values.
        floor("JSON", ["Primitives"]),
        floor("Entities", ["Primitives", "JSON"]),
        floor("HashRing", ["Primitives"]),
        floor("LogFormat", ["Primitives", "CLZ4"]),

        // Floor 3: the sans-IO machines.
        floor("LogCore", ["Primitives", "LogFormat"]),
        floor("ShardCore", ["Primitives", "Entities", deque]),
        floor("ClusterCore", ["Primitives", "JSON", "Entities", "HashRing"]),
        floor("PeerWire", ["Primitives", "Entities", "HashRing"]),
        floor("Serving", ["Primitives", "Entities"]),

        // Floor 4: the outside world, one concern each.
        floor("LogFiles", ["Primitives", "LogFormat", "LogCore", "CPosixShims"]),
        floor("RocksStore", ["Primitives", "CRocksDB", "CStoreShims"]),
        floor("PeerTransport", ["Primitives", "HashRing", "PeerWire", nioCore, nioPosix, nioSSL, deque]),
        floor(
            "ClusterMetadata",
            ["Primitives", "HashRing", "ClusterCore", "CPosixShims", httpClient, nioCore, nioPosix, nioHTTP1, nioSSL]),
        floor("HTTPFront", ["Primitives", "JSON", "Entities", "Serving", nioCore, nioPosix]),

        // Floor 5: composition.
        floor(
            "NodeRuntime",
            [
                "Primitives", "JSON", "Entities", "HashRing", "LogFormat", "LogCore", "ShardCore", "ClusterCore",
                "PeerWire", "Serving", "LogFiles", "RocksStore", "ClusterMetadata", "PeerTransport", "HTTPFront",
                "CPosixShims", nioCore, nioPosix, nioConcurrency, deque, logging, lifecycle, signals, yams,
            ]),
        floor("KeysteadClient", ["Primitives", httpClient, nioCore, nioPosix, nioHTTP1]),

        // Floor 6: executables.
        tool("keystead", ["NodeRuntime", "LogFormat", "LogCore", "LogFiles", "Primitives", arguments]),
        floor("AdminTool", ["KeysteadClient", "LoadGenerator", "Primitives", nioPosix, arguments]),
        tool("keysteadctl", ["AdminTool", arguments]),

        // The harness: floors 1 to 3 only.
        floor(
            "Simulator", ["Primitives", "Entities", "HashRing", "LogFormat", "LogCore", "ShardCore", "ClusterCore"]),
        tool("keystead-simulate", ["Simulator", "Primitives", arguments]),

        // Benchmarks.
        floor("LoadGenerator", ["Primitives", nioCore, nioPosix, histogram], path: "Bench/LoadGenerator"),
        tool("load", ["LoadGenerator", arguments], path: "Bench/load"),
        tool("bare-http", [nioCore, nioPosix, nioHTTP1, arguments], path: "Bench/bare-http"),
        tool("raw-fdatasync", ["CPosixShims", histogram, arguments], path: "Bench/raw-fdatasync"),
        tool(
            "alone", ["Primitives", "HashRing", "LogFormat", "LogCore", "LogFiles", "CRocksDB", histogram, arguments],
            path: "Bench/alone"),
        tool(
            "hostile", ["LoadGenerator", "PeerWire", "HashRing", "Primitives", arguments], path: "Bench/hostile"),

        // The house rules, and the outside contract on real processes.
        tests("TidyTests", []),
        tests("HandbookTests", ["AdminTool", "Entities", "NodeRuntime", "keystead", arguments]),
        .target(name: "CTestShims", path: "Tests/CTestShims"),
        // The fuzz targets as tests: their corpus goes through them.
        .testTarget(
            name: "FuzzTests",
            dependencies: [
                "ClusterCore", "Entities", "HTTPFront", "HashRing", "JSON", "LogFormat", "PeerWire", "Primitives",
                "ShardCore", nioCore,
            ], path: "Tests/Fuzz", exclude: ["Corpus", "run"], swiftSettings: strict),
        .target(name: "CTestClock", path: "Tests/CTestClock"),
        tests("EndToEndTests", ["Primitives", "CTestShims"]),

        tests("PrimitivesTests", ["Primitives"]),
        floor("ScriptedServer", [nioCore, nioPosix, nioHTTP1], path: "Tests/ScriptedServer"),
        tests("KeysteadClientTests", ["KeysteadClient", "ScriptedServer", "Primitives"]),
        tests("AdminToolTests", ["AdminTool", "KeysteadClient", "ScriptedServer", "Primitives"]),
        tests(
            "HTTPFrontTests",
            [
                "HTTPFront", "Serving", "Entities", "Primitives", nioCore, nioPosix, nioEmbedded, nioHTTP1,
                nioConcurrency,
            ]),
        tests("EntitiesTests", ["Entities", "JSON", "Primitives"]),
        tests("RocksStoreTests", ["RocksStore", "Primitives"]),
        tests("ClusterCoreTests", ["ClusterCore", "HashRing", "Primitives"]),
        tests(
            "ClusterMetadataTests",
            ["ClusterMetadata", "ClusterCore", "HashRing", "Primitives", nioCore, nioPosix]),
        tests("HashRingTests", ["HashRing", "Primitives"]),
        tests("PeerWireTests", ["PeerWire", "Entities", "HashRing", "Primitives"]),
        tests(
            "PeerTransportTests",
            [
                "PeerTransport", "PeerWire", "Entities", "HashRing", "Primitives", nioCore, nioPosix, nioConcurrency,
                nioSSL,
            ]),
        tests("LogFormatTests", ["LogFormat", "Primitives"], resources: [.copy("Fixtures")]),
        tests("LogCoreTests", ["LogCore", "LogFormat", "Primitives"]),
        tests("LogFilesTests", ["LogFiles", "LogCore", "LogFormat", "Primitives"]),
        tests("LoadGeneratorTests", ["LoadGenerator", "Primitives", nioCore, nioPosix, histogram]),
        tests("ShardCoreTests", ["ShardCore", "Entities", "Primitives"]),
        tests("SimulatorTests", ["Simulator", "ClusterCore", "Entities", "Primitives"]),
        tests(
            "NodeRuntimeTests",
            [
                "NodeRuntime", "ClusterCore", "ClusterMetadata", "Entities", "HTTPFront", "HashRing", "PeerWire",
                "Primitives", "RocksStore", "ShardCore", logging,
            ]),
    ],
    cxxLanguageStandard: .cxx17
)
