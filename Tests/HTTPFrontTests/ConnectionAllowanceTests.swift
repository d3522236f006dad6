import NIOCore
import Testing

@testable import HTTPFront

@Suite struct ConnectionAllowanceTests {
    private func address(_ text: String) throws -> CallerAddress {
        try #require(CallerAddress(try SocketAddress(ipAddress: text, port: 9)))
    }

    @Test func oneAddressHoldsHalf() throws {
        var allowance = ConnectionAllowance(connectionsMax: 5)
        let one = try address("10.0.0.1")
        let other = try address("10.0.0.2")
        #expect((0..<2).allSatisfy { _ in allowance.open(of: one) == .served })
        #expect(allowance.open(of: one) == .told(.connectionsOfAddress))
        #expect((0..<2).allSatisfy { _ in allowance.open(of: other) == .served })
        #expect(allowance.open(of: try address("10.0.0.3")) == .served)
        #expect(allowance.open(of: try address("10.0.0.4")) == .told(.connections))
        allowance.close(.served, of: one)
        #expect(allowance.open(of: one) == .served, "a place that was given back is free")
    }

    /// Connections that are refused hold no place of the others.
    @Test func aFloodFromOneAddressLeavesRoom() throws {
        var allowance = ConnectionAllowance(connectionsMax: 100)
        let flood = try address("192.0.2.1")
        let verdicts = (0..<10_000).map { _ in allowance.open(of: flood) }
        #expect(verdicts.filter { $0 == .served }.count == 50)
        #expect(verdicts.filter { $0 == .told(.connectionsOfAddress) }.count == FrontLimits.refusedConnectionsMax)
        #expect(verdicts.last == .dropped)
        let other = try address("192.0.2.2")
        #expect((0..<50).allSatisfy { _ in allowance.open(of: other) == .served })
        for verdict in verdicts { allowance.close(verdict, of: flood) }
        #expect(allowance.served == 50 && allowance.told == 0)
    }

    @Test func aSmallBoundStillLetsACallerIn() throws {
        var allowance = ConnectionAllowance(connectionsMax: 1)
        #expect(allowance.open(of: try address("::1")) == .served)
        #expect(allowance.open(of: nil) == .told(.connections))
    }

    @Test func connectionsWithoutAnAddressShareTheWhole() {
        var allowance = ConnectionAllowance(connectionsMax: 3)
        #expect((0..<3).allSatisfy { _ in allowance.open(of: nil) == .served })
        #expect(allowance.open(of: nil) == .told(.connections))
    }

    @Test func addressesAreToldApartByTheirHost() throws {
        #expect(try address("127.0.0.1") == address("::ffff:127.0.0.1"), "one host, by two sockets")
        #expect(try address("127.0.0.1") != address("127.0.0.2"))
        #expect(try address("2001:db8::1") != address("2001:db8::2"))
        #expect(try address("2001:db8::1") != address("2001:db8:1::1"))
        #expect(CallerAddress(try SocketAddress(unixDomainSocketPath: "/tmp/s")) == nil)
    }
}
