import Primitives

/// A place between two lines of the input: so many bytes and so many lines stand before it.
struct InputMark: Equatable, Sendable {
    var offset: UInt64 = 0
    var line: UInt64 = 0
}

/// Sorts lines into lanes, and knows how far every line has been confirmed. Pure.
///
/// Each lane has at most one chunk under way, and an id always goes to the same lane: so lines of one entity are
/// written in the order of the file although several connections carry the load, and the last of them wins.
struct ImportLanes {
    struct Line: Equatable, Sendable {
        /// Counted from 1.
        let number: UInt64
        /// Where it begins.
        let mark: InputMark
        let content: ImportLine.Content
    }

    struct Chunk: Sendable {
        let lane: Int
        let lines: [Line]
    }

    /// A chunk is full at so many lines or bytes, whichever comes first.
    static let chunkLinesMax = 500
    static let chunkBytesMax = 1 << 20
    /// A chunk goes out, full or not, once the reader is so many lines past its first: so that a lane which hardly gets
    /// any lines does not hold back the mark from which a resume begins.
    static let chunkAgeLinesMax: UInt64 = 20_000

    private struct Lane {
        var waiting: [Line] = []
        var waitingBytes = 0
        /// The first line of the chunk under way.
        var underWay: InputMark?

        var oldest: InputMark? { underWay ?? waiting.first?.mark }
    }

    private var lanes: [Lane]

    init(count: Int) { lanes = Array(repeating: Lane(), count: count) }

    /// Adds a line to its lane; the lane.
    mutating func add(_ line: Line) -> Int {
        let lane = Int(XXH64.hash(Array(line.content.id.utf8), seed: 0) % UInt64(lanes.count))
        lanes[lane].waiting.append(line)
        lanes[lane].waitingBytes += line.content.state.count
        return lane
    }

    func isFull(_ lane: Int) -> Bool {
        lanes[lane].waiting.count >= Self.chunkLinesMax || lanes[lane].waitingBytes >= Self.chunkBytesMax
    }

    func isUnderWay(_ lane: Int) -> Bool { lanes[lane].underWay != nil }

    /// Lanes whose waiting lines have grown old by the time the reader is at `line`.
    func overdue(at line: UInt64) -> [Int] {
        lanes.indices.filter { index in
            lanes[index].waiting.first.map { line - $0.mark.line > Self.chunkAgeLinesMax } ?? false
        }
    }

    /// Lanes that still have lines waiting.
    var unsent: [Int] { lanes.indices.filter { !lanes[$0].waiting.isEmpty } }

    /// Takes a lane's waiting lines as the chunk under way. The lane must have lines, and none under way.
    mutating func take(_ lane: Int) -> Chunk {
        precondition(lanes[lane].underWay == nil, "a lane carries one chunk at a time")
        let lines = lanes[lane].waiting
        precondition(!lines.isEmpty, "a chunk has lines")
        lanes[lane].underWay = lines[0].mark
        lanes[lane].waiting = []
        lanes[lane].waitingBytes = 0
        return Chunk(lane: lane, lines: lines)
    }

    /// Every line of the lane's chunk has been written or refused.
    mutating func finished(_ lane: Int) { lanes[lane].underWay = nil }

    /// Where a resume would begin: all lines before it have been written or refused.
    ///
    /// - Parameter reader: where the reader stands.
    func confirmed(reader: InputMark) -> InputMark {
        lanes.compactMap(\.oldest).min { $0.line < $1.line } ?? reader
    }
}
