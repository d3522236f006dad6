import Primitives
import ShardCore

/// The files that come in, each under another name until it is whole and checked.
extension InboundMove {
    /// An incomplete copy of a file has this after its name.
    private static let partSuffix = ".part"

    func examineFiles() {
        let folder = tools.folders.incoming(shard)
        offLoop {
            try MoveFiles.makeDirectory(folder)
            return try MoveFiles.entries(of: folder).filter { !$0.hasSuffix(Self.partSuffix) }
                .map { try MoveFiles.describe(folder, $0) }
        } done: { move, files in
            move.machine.examined(local: files, now: NodeTime.monotonic())
        }
    }

    func removeFiles(_ names: [String]) {
        let folder = tools.folders.incoming(shard)
        offLoop {
            for name in names { try MoveFiles.remove("\(folder)/\(name)") }
        } done: { _, _ in
        }
    }

    func writeChunk(_ request: UInt64, _ name: String, _ offset: UInt64, _ bytes: [UInt8]) {
        let folder = tools.folders.incoming(shard)
        offLoop {
            try MoveFiles.write(bytes, to: name + Self.partSuffix, in: folder, offset: offset)
        } done: { move, _ in
            move.machine.chunkWritten(request, now: NodeTime.monotonic())
        }
    }

    func finishFile(_ file: MoveFile) {
        let folder = tools.folders.incoming(shard)
        offLoop {
            let part = file.name + Self.partSuffix
            try MoveFiles.finish(part, in: folder, bytes: file.byteCount)
            let found = try MoveFiles.describe(folder, part)
            guard found.byteCount == file.byteCount, found.crc == file.crc else {
                try MoveFiles.remove("\(folder)/\(part)")
                return false
            }
            try MoveFiles.rename("\(folder)/\(part)", to: "\(folder)/\(file.name)")
            return true
        } done: { move, isSound in
            move.machine.fileFinished(file.name, isSound: isSound, now: NodeTime.monotonic())
        }
    }
}
