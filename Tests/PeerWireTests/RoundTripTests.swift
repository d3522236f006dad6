import Entities
import PeerWire
import Primitives
import Testing

@Suite struct RoundTripTests {
    @Test func everyRequest() throws {
        for request in Samples.requests {
            let frame = request.frame(id: 0xFFFF_0000_1111)
            #expect(frame.count == request.frameBytes)
            let (header, decoded) = try #require(try Decoded.read(frame))
            #expect(header.id == 0xFFFF_0000_1111 && header.frameBytes == frame.count)
            #expect(decoded.frame(id: header.id) == frame)
        }
    }

    @Test func everyResponse() throws {
        for response in Samples.responses {
            let frame = response.frame(id: 5)
            #expect(frame.count == response.frameBytes)
            let (header, decoded) = try #require(try Decoded.read(frame))
            #expect(decoded.frame(id: header.id) == frame)
        }
    }

    @Test func everyControl() throws {
        for control in Samples.controls {
            let (header, decoded) = try #require(try Decoded.read(control.frame(id: 1)))
            guard case .control(let read) = decoded else { throw UnexpectedMessage() }
            #expect(read == control)
            #expect(header.frameBytes == control.frameBytes)
        }
    }

    @Test func aWriteComesOutField() throws {
        let operation = WriteOperation(
            key: Samples.key("k/é"), action: .put(state: [9, 8], contentType: Array("a/b".utf8), ttlSeconds: 60),
            preconditions: Samples.both, idempotencyKey: Array("key".utf8), wantsRepresentation: true)
        let frame = PeerRequest.write(operation, deadlineMilliseconds: 1500, mapRevision: 42).frame(id: 1)
        guard case .request(.write(let read, let deadline, let revision)) = try #require(try Decoded.read(frame)).1,
            case .put(let state, let contentType, let ttl) = read.action
        else { throw UnexpectedMessage() }
        #expect(deadline == 1500 && revision == 42)
        #expect(read.key == operation.key && read.key.bytes == Array("k/é".utf8) && read.key.kindLength == 1)
        #expect(state == [9, 8] && contentType == Array("a/b".utf8) && ttl == 60)
        #expect(read.preconditions == Samples.both)
        #expect(read.idempotencyKey == Array("key".utf8) && read.wantsRepresentation)
    }

    @Test func aPageComesOutField() throws {
        let page = ListPage(
            items: [.init(keyBytes: Array("k/i".utf8), record: Samples.record)],
            next: ListCursor(ringHash: 8, keyBytes: Array("k/i".utf8)), shardCount: 64, missing: [ShardID(5)])
        let frame = PeerResponse.answer(.page(page)).frame(id: 1)
        guard case .response(.answer(.page(let read))) = try #require(try Decoded.read(frame)).1 else {
            throw UnexpectedMessage()
        }
        #expect(read.items.map(\.keyBytes) == page.items.map(\.keyBytes))
        #expect(read.items.map(\.record) == [Samples.record])
        #expect(read.next == page.next && read.shardCount == 64 && read.missing == [ShardID(5)])
    }

    @Test func moveMessagesComeOutField() throws {
        for response in Samples.responses {
            let decoded = try #require(try Decoded.read(response.frame(id: 1))).1
            switch (response, decoded) {
            case (.manifest(let sent), .response(.manifest(let read))): #expect(sent == read)
            case (.records(let sent), .response(.records(let read))): #expect(sent == read)
            case (.progress(let sent), .response(.progress(let read))): #expect(sent == read)
            case (.refused(let sent), .response(.refused(let read))): #expect(sent == read)
            default: break
            }
        }
    }

    /// A message as large as any can be goes through one frame.
    @Test func theLargestEntityFits() throws {
        let state = [UInt8](repeating: 1, count: Limits.entityBytesCeiling)
        let key = Samples.key("k/" + String(repeating: "i", count: Limits.idBytesMax))
        let contentType = [UInt8](repeating: 0x61, count: Limits.contentTypeBytesMax)
        let operation = WriteOperation(
            key: key, action: .put(state: state, contentType: contentType, ttlSeconds: 1), preconditions: Samples.both,
            idempotencyKey: [UInt8](repeating: 0x61, count: Limits.idempotencyKeyBytesMax))
        let request = PeerRequest.write(operation, deadlineMilliseconds: 1, mapRevision: 1)
        #expect(request.frameBytes < Limits.peerFrameBytesMax)
        #expect(try Decoded.read(request.frame(id: 1)) != nil)
    }

    /// `Limits.peerFrameBytesMax` takes the largest page: one short of its bytes, and then the largest entity.
    @Test func theLargestPageFits() {
        let perItem = 2 + Limits.kindBytesMax + 1 + Limits.idBytesMax + 4 + 19 + 8 + Limits.contentTypeBytesMax
        let fixed = PeerFrameHeader.byteCount + 64 + 4 * Limits.shardsMax + 600
        let page = Limits.listBytesMax + Limits.entityBytesCeiling + Limits.listItemsMax * perItem + fixed
        #expect(page <= Limits.peerFrameBytesMax)
        #expect(Limits.recordBytesMax + 1024 <= Limits.peerFrameBytesMax)
    }

    @Test func longTextsAreCutAtACharacter() throws {
        let text = String(repeating: "é", count: Limits.peerTextBytesMax)
        let odd = "x" + text
        for long in [text, odd] {
            let frame = PeerResponse.refused(PeerRefusal(.failed, long)).frame(id: 1)
            guard case .response(.refused(let read)) = try #require(try Decoded.read(frame)).1 else {
                throw UnexpectedMessage()
            }
            #expect(long.hasPrefix(read.text))
            #expect(read.text.utf8.count >= Limits.peerTextBytesMax - 1)
        }
    }

    @Test func aRefusalFitsTheFirstFrame() {
        let refusal = PeerControl.refuse(String(repeating: "n", count: 10_000))
        #expect(refusal.frameBytes <= Limits.peerHelloBytesMax)
        let longName = Samples.node(String(repeating: "n", count: 64))
        let hello = PeerHello(node: longName, clusterHigh: 0, clusterLow: 0, storeHigh: 0, storeLow: 0, bootCount: 0)
        #expect(PeerControl.hello(hello).frameBytes <= Limits.peerHelloBytesMax)
    }
}

struct UnexpectedMessage: Error {}
