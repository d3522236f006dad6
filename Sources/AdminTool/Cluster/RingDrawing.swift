import Glibc
import KeysteadClient

/// The ring as a picture in characters: a circle while every shard is wide enough to be seen on it, else rows. Pure.
///
/// A node is a letter, and a colour too where colours may be used. Beside a shard stands `*` while it moves and `!`
/// where it does not serve.
struct RingDrawing {
    /// Beyond this many shards a circle of 20 rows has no cell for some of them.
    static let circleShardsMax = 64
    private static let rowShards = 64
    private static let radius = 10
    private static let thickness = 3.0

    private struct Cell {
        var symbol: Character
        var mark: Character
        /// Which of the nodes; `nil` where nobody owns the shard.
        var node: Int?
    }

    private let picture: ClusterPicture
    private let cells: [Cell]

    init(_ picture: ClusterPicture) {
        self.picture = picture
        let numbers = Dictionary(
            picture.nodes.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        cells = picture.shards.sorted { $0.shard < $1.shard }.map { shard in
            let node = shard.primary.flatMap { numbers[$0] }
            let mark: Character = Verdict.isWell(shard) ? shard.move == nil ? " " : "*" : "!"
            return Cell(symbol: node.map(Self.symbol) ?? "-", mark: mark, node: node)
        }
    }

    /// The picture, the legend, and what the marks stand for.
    var lines: [PaintedLine] {
        guard !cells.isEmpty else { return [PaintedLine("the cluster has no shards")] }
        let picture = cells.count <= Self.circleShardsMax ? circle() : rows()
        return picture + [PaintedLine("")] + legend + marks
    }

    private static let symbols = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")

    /// Nodes beyond the symbols share one.
    private static func symbol(_ node: Int) -> Character { node < symbols.count ? symbols[node] : "#" }

    // MARK: The circle

    /// One character, and the node in whose colour it stands.
    private struct Ink {
        var character: Character = " "
        var node: Int?
    }

    private func circle() -> [PaintedLine] {
        let radius = Self.radius
        let half = 2 * radius + 6
        var canvas = [[Ink]](repeating: [Ink](repeating: Ink(), count: 2 * half), count: 2 * radius + 4)
        for (row, y) in (-radius - 2..<radius + 2).enumerated() {
            for (column, x) in (-half..<half).enumerated() {
                // Middles of cells, so that no cell lies on the border of two shards; a cell is twice as high as wide.
                let (across, down) = ((Double(x) + 0.5) / 2, Double(y) + 0.5)
                let distance = (across * across + down * down).squareRoot()
                let cell = cells[shard(across, down)]
                if distance <= Double(radius), distance > Double(radius) - Self.thickness {
                    canvas[row][column] = Ink(character: cell.symbol, node: cell.node)
                } else if distance > Double(radius), distance <= Double(radius) + 1 {
                    canvas[row][column] = Ink(character: cell.mark)
                }
            }
        }
        write(labels, on: &canvas)
        return canvas.map { line(Array($0)) }
    }

    /// The shard in the direction, clockwise from the top.
    private func shard(_ across: Double, _ down: Double) -> Int {
        let angle = atan2(across, -down)
        let turn = (angle < 0 ? angle + 2 * .pi : angle) / (2 * .pi)
        return min(Int(turn * Double(cells.count)), cells.count - 1)
    }

    private struct Label {
        let text: String
        let row: Int
        let column: Int
    }

    /// Where the quarters of the ring begin, and what it is the ring of.
    private var labels: [Label] {
        let middle = 2 * Self.radius + 6
        let count = cells.count
        let left = "\(count * 3 / 4)"
        func centred(_ text: String, _ row: Int) -> Label {
            Label(text: text, row: row, column: middle - text.count / 2)
        }
        let name = Format.printable(picture.cluster)
        return [
            centred("0", 0), centred("\(count / 2)", 2 * Self.radius + 3),
            Label(text: left, row: Self.radius + 2, column: 4 - left.count),
            Label(text: "\(count / 4)", row: Self.radius + 2, column: 2 * middle - 4),
            centred(name.count > 22 ? name.prefix(21) + "…" : name, Self.radius),
            centred("\(count) shards", Self.radius + 1),
            centred("\(picture.nodes.count) \(picture.nodes.count == 1 ? "node" : "nodes")", Self.radius + 2),
            centred("map \(picture.mapRevision)", Self.radius + 3),
        ]
    }

    private func write(_ labels: [Label], on canvas: inout [[Ink]]) {
        for label in labels {
            let columns = canvas[label.row].indices
            for (index, character) in label.text.enumerated() where columns.contains(label.column + index) {
                canvas[label.row][label.column + index] = Ink(character: character)
            }
        }
    }

    // MARK: Rows

    private func rows() -> [PaintedLine] {
        let width = String(cells.count - 1).count
        return stride(from: 0, to: cells.count, by: Self.rowShards).flatMap { first -> [PaintedLine] in
            let row = cells[first..<min(first + Self.rowShards, cells.count)]
            let number = String(first)
            let margin = String(repeating: " ", count: width - number.count) + number + "  "
            let marks = PaintedLine(String(repeating: " ", count: margin.count) + String(row.map(\.mark)))
            let inks = margin.map { Ink(character: $0) } + row.map { Ink(character: $0.symbol, node: $0.node) }
            return row.contains { $0.mark != " " } ? [line(inks), marks] : [line(inks)]
        }
    }

    // MARK: Ink

    /// Neighbours of one colour as one piece.
    private func line(_ inks: [Ink]) -> PaintedLine {
        var pieces: [PaintedLine.Piece] = []
        var run = ""
        for (index, ink) in inks.enumerated() {
            run.append(ink.character)
            if index + 1 == inks.count || inks[index + 1].node != ink.node {
                pieces.append(PaintedLine.Piece(text: run, colour: ink.node))
                run = ""
            }
        }
        return PaintedLine(pieces)
    }

    // MARK: The legend

    private var legend: [PaintedLine] {
        var owned = [UInt64](repeating: 0, count: picture.nodes.count)
        for node in cells.compactMap(\.node) { owned[node] += 1 }
        let total = UInt64(cells.count)
        let rows = picture.nodes.enumerated().map { number, node in
            [node.id, node.state, node.zone, node.weight, "\(owned[number])", Ring.share(owned[number], of: total)]
        }
        let table = Format.table(["NODE", "STATE", "ZONE", "WEIGHT", "SHARDS", "SHARE"], rows)
        let lines = table.split(separator: "\n").map(String.init)
        var legend = [PaintedLine("   " + lines[0])]
        for (number, line) in lines.dropFirst().enumerated() {
            let symbol = PaintedLine.Piece(text: String(Self.symbol(number)), colour: number)
            legend.append(PaintedLine([symbol, PaintedLine.Piece(text: "  " + line, colour: nil)]))
        }
        let orphans = total - owned.reduce(0, +)
        if orphans > 0 {
            legend.append(PaintedLine("-  nobody: \(orphans) shards, \(Ring.share(orphans, of: total))"))
        }
        return legend
    }

    private var marks: [PaintedLine] {
        let shards = picture.shards.sorted { $0.shard < $1.shard }
        let moving = shards.filter { $0.move != nil && Verdict.isWell($0) }.compactMap { shard in
            shard.move.map {
                "*  shard \(shard.shard) moves from \($0.from) to \($0.to): \($0.stage), \($0.operation)"
            }
        }
        let troubled = shards.filter { !Verdict.isWell($0) }.map { shard in
            "!  shard \(shard.shard) is \(shard.primary == nil ? "without a primary" : shard.state)"
        }
        let all = moving + troubled
        return all.isEmpty ? [] : ([""] + all).map { PaintedLine($0) }
    }
}
