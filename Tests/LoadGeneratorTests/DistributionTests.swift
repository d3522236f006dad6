import Primitives
import Testing

@testable import LoadGenerator

@Suite struct ZipfianTests {
    /// Worked out apart from this code, by the formulas of the paper in another language.
    @Test(
        arguments: [
            (1000, 1, [37, 146, 804, 14, 14, 167, 397, 26, 4, 211, 10, 49, 15, 27, 13, 1]),
            (1_000_000, 42, [27715, 5, 32, 85, 0, 163_284, 12, 63620, 80, 4796, 10, 776, 1046, 1152, 9362, 10]),
        ] as [(Int, UInt64, [Int])])
    func exactDraws(count: Int, seed: UInt64, ranks: [Int]) {
        let zipfian = ZipfianDistribution(count: count)
        var generator = SplitMix64(seed: seed)
        #expect(ranks.map { _ in zipfian.draw(&generator) } == ranks)
    }

    /// The two first ranks are drawn by their exact probability, the others by an approximation within a few percent.
    @Test func frequenciesFollowTheLaw() {
        let count = 1000
        let draws = 400_000
        let zipfian = ZipfianDistribution(count: count)
        var generator = SplitMix64(seed: 3)
        var hits = [Int](repeating: 0, count: count)
        for _ in 0..<draws { hits[zipfian.draw(&generator)] += 1 }
        let zeta = 7.728_953
        #expect(abs(Double(hits[0]) / Double(draws) - 1 / zeta) < 0.003)
        #expect(abs(Double(hits[1]) / Double(draws) - 0.503_478 / zeta) < 0.003)
        let firstHundred = Double(hits[..<100].reduce(0, +)) / Double(draws)
        #expect(firstHundred > 0.65 && firstHundred < 0.73)
        #expect(hits.allSatisfy { $0 > 0 })
    }

    @Test(arguments: [1, 2, 3])
    func smallCountsStayInside(count: Int) {
        let zipfian = ZipfianDistribution(count: count)
        var generator = SplitMix64(seed: 5)
        var seen = Set<Int>()
        for _ in 0..<1000 { seen.insert(zipfian.draw(&generator)) }
        #expect(seen == Set(0..<count))
    }
}

@Suite struct OperationSourceTests {
    private func makeSource(
        _ workload: Workload, records: Int = 1000, seed: UInt64 = 1, loop: Int = 0, of loops: Int = 1
    ) -> OperationSource {
        var configuration = LoadConfiguration()
        configuration.workload = workload
        configuration.records = records
        configuration.loops = loops
        let zipfian = OperationSource.needsZipfian(configuration) ? ZipfianDistribution(count: records) : nil
        return OperationSource(configuration, zipfian: zipfian, loop: loop, generator: SplitMix64(seed: seed))
    }

    @Test(arguments: [
        (Workload.a, OperationKind.update, 0.5), (.b, .update, 0.05), (.c, .update, 0), (.d, .insert, 0.05),
        (.f, .readModifyWrite, 0.5), (.put, .update, 1), (.get, .update, 0), (.hot, .increment, 1),
    ])
    func mixes(workload: Workload, writes: OperationKind, share: Double) {
        var source = makeSource(workload)
        var count = 0
        for _ in 0..<20_000 {
            let operation = source.next()
            #expect(operation.kind == writes || operation.kind == .read)
            if operation.kind == writes { count += 1 }
            if operation.kind == .insert { source.finishInsert(operation.record, acknowledged: true) }
        }
        #expect(abs(Double(count) / 20_000 - share) < 0.015)
    }

    @Test(arguments: Workload.allCases)
    func sameSeedSameOperations(workload: Workload) {
        var first = makeSource(workload, seed: 9)
        var second = makeSource(workload, seed: 9)
        for _ in 0..<1000 { #expect(first.next() == second.next()) }
    }

    @Test func hotKeysAreSpread() {
        #expect((0..<6).map { OperationSource.scramble($0, below: 1000) } == [883, 566, 591, 113, 431, 386])
    }

    /// Whatever the order of acknowledgements and refusals, no read asks for a record that may not be there, and loops
    /// never insert the same one.
    @Test(arguments: [0, 1, 2])
    func latestReadsOnlyWhatIsThere(loop: Int) {
        var source = makeSource(.d, records: 50, seed: 4, loop: loop, of: 3)
        var generator = SplitMix64(seed: 8)
        var open: [UInt64] = []
        var present = Set<UInt64>(0..<50)
        for _ in 0..<20_000 {
            let operation = source.next()
            if operation.kind == .insert {
                #expect(Int(operation.record) >= 50 && (Int(operation.record) - 50) % 3 == loop)
                #expect(!present.contains(operation.record) && !open.contains(operation.record))
                open.append(operation.record)
            } else {
                #expect(present.contains(operation.record))
            }
            if open.count > 8 {
                let record = open.remove(at: generator.below(open.count))
                let acknowledged = generator.chance(9, in: 10)
                source.finishInsert(record, acknowledged: acknowledged)
                if acknowledged { present.insert(record) }
            }
        }
        #expect(present.count > 500)
    }
}

@Suite struct ArrivalScheduleTests {
    @Test func latencyCountsFromTheDueTime() {
        var schedule = ArrivalSchedule(start: 1000, rate: 1e6, share: 0, of: 1)
        #expect(schedule.take(at: 999) == nil)
        #expect(schedule.take(at: 1000) == 1000)
        #expect(schedule.take(at: 1999) == nil)
        // A server that stalls for 5 µs holds up five operations: each of them counts from when it was due.
        let afterStall = [schedule.take(at: 7000), schedule.take(at: 7000), schedule.take(at: 7000)]
        #expect(afterStall == [2000, 3000, 4000])
        #expect(schedule.backlog(at: 7000) == 2, "due at 5000 and 6000; 7000 is the end")
        #expect(schedule.backlog(at: 0) == 0)
    }

    /// Three loops of a third each are together as even as one.
    @Test func sharesInterleave() {
        var due: [UInt64] = []
        for share in 0..<3 {
            var schedule = ArrivalSchedule(start: 0, rate: 3000, share: share, of: 3)
            for _ in 0..<100 { if let time = schedule.take(at: .max) { due.append(time) } }
        }
        due.sort()
        for (place, time) in due.enumerated() { #expect(abs(Double(time) - Double(place) * 1e9 / 3000) < 2) }
    }

    /// The pace does not drift: after an hour at an awkward rate it is where it should be.
    @Test func holdsThePace() {
        var schedule = ArrivalSchedule(start: 0, rate: 7, share: 0, of: 1)
        for _ in 0..<(7 * 3600) { _ = schedule.take(at: .max) }
        #expect(schedule.nextDue == 3_600_000_000_000)
    }
}
