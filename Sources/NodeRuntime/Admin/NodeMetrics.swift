import ClusterCore
import Entities
import HTTPFront
import HashRing
import LogCore
import LogFiles
import NIOCore
import Primitives
import RocksStore

/// What `/metrics` shows of a node. Every label has few values: routes, status classes, problem codes.
struct NodeMetrics {
    let view: NodeView
    let front: HTTPServer?

    func text() async -> String {
        var text = PrometheusText()
        if let front { http(await front.counters(), &text) }
        await queues(&text)
        await memory(&text)
        lists(&text)
        log(&text)
        stores(&text)
        moves(&text)
        return text.text
    }

    private func http(_ counters: HTTPCounters, _ text: inout PrometheusText) {
        var answers: [(String, String, UInt64)] = []
        for route in HTTPCounters.Route.allCases {
            for statusClass in 1...5 {
                let count = counters.answered(route, statusClass: statusClass)
                if count > 0 { answers.append(("\(route)", "\(statusClass)xx", count)) }
            }
        }
        text.counters("http_requests_total", "Answers by route and status class.", labels: ("route", "status"), answers)
        text.counters(
            "http_refusals_total", "Refusals by problem code.", label: "code",
            ProblemCode.allCases.map { ("\($0.name)", counters.refused($0)) }.filter { $0.1 > 0 })
        text.counters(
            "http_timeouts_total", "Connections and requests given up, by deadline.", label: "deadline",
            HTTPCounters.Timeout.allCases.map { ("\($0)", counters.timedOut($0)) })
        text.counter("http_received_bytes_total", "Bytes received from clients.", counters.bytesIn)
        text.counter("http_sent_bytes_total", "Bytes sent to clients.", counters.bytesOut)
        text.counter("http_connections_total", "Connections accepted.", counters.connectionsAccepted)
        text.counter("http_connections_refused_total", "Connections over the limit.", counters.connectionsRefused)
        text.gauge(
            "http_connections", "Connections open.", counters.connectionsAccepted - counters.connectionsClosed)
    }

    private func queues(_ text: inout PrometheusText) async {
        var items = 0
        var bytes = 0
        for loop in view.loops {
            guard let depth = try? await loop.queueDepth().get() else { continue }
            items += depth.items
            bytes += depth.bytes
        }
        text.gauge("queue_operations", "Operations admitted and not yet answered.", items)
        text.gauge("queue_bytes", "Bytes that those operations hold.", bytes)
    }

    private func memory(_ text: inout PrometheusText) async {
        let budget = view.memory.budget
        text.gauge("memory_budget_bytes", "What callers and peers may hold together.", budget.bounds.capacityBytes)
        text.gauge("memory_lent_bytes", "Bytes charged, and those that loops keep to charge.", budget.lentBytes)
        text.gauges(
            "memory_charged_bytes", "Bytes that callers and peers hold, by use.", label: "use",
            await view.memory.loops.chargedBytes().map { ("\($0.use.name)", $0.bytes) })
        text.counter("memory_refusals_total", "Charges that there was no room for.", budget.refusalCount)
    }

    private func lists(_ text: inout PrometheusText) {
        let desks = [("callers", view.lists.own.counts), ("peers", view.lists.forPeers.counts)]
        text.gauges(
            "lists_running", "Lists under way, by who asks.", label: "for", desks.map { ($0.0, $0.1.underWay) })
        text.gauges(
            "lists_queued", "Lists that wait for their turn.", label: "for",
            desks.map { ($0.0, $0.1.waiting) })
        text.counters(
            "lists_refused_total", "Lists that were too many, or had waited for too long.", label: "for",
            desks.map { ($0.0, $0.1.refused) })
        text.counters(
            "lists_cancelled_total", "Lists whose caller left before they had ended.", label: "for",
            desks.map { ($0.0, $0.1.cancelled) })
    }

    private func log(_ text: inout PrometheusText) {
        let all = view.log.statistics
        let statistics = all.log
        text.counter("log_groups_total", "Groups written.", statistics.groups)
        text.counter("log_records_total", "Records written.", statistics.records)
        text.counter("log_payload_bytes_total", "Payload bytes accepted.", statistics.payloadBytes)
        text.counter("log_written_bytes_total", "Bytes written to segments.", statistics.writtenBytes)
        text.counter("log_syncs_total", "fdatasync calls.", statistics.syncs)
        text.counter("log_segments_recycled_total", "Segments used again.", statistics.segmentsRecycled)
        text.gauge("log_live_bytes", "Bytes of segments that a restart may need.", statistics.liveBytes)
        text.gauge("log_durable_lsn", "Highest LSN on stable storage.", all.durableLSN.rawValue)
        text.gauge("log_queue_bytes", "Bytes accepted and not yet written.", all.queueBytes)
        text.gauge(
            "clock_ahead_milliseconds", "How far the wall clock is ahead of the data's time; 0 within a minute.",
            view.time.gap().milliseconds)
        text.gauge("storage_full", "1 while writes are refused for lack of space.", view.isStorageFull ? 1 : 0)
    }

    private func stores(_ text: inout PrometheusText) {
        let all = view.table.hosts.compactMap { try? $0.store.statistics() }
        let served = view.table.hosts.filter(\.isServing).count
        text.gauge("shards", "Shards of the cluster.", view.table.ring.shardCount)
        text.gauge("shards_served", "Shards that this node serves.", served)
        text.gauge("store_table_bytes", "Bytes of table files.", all.reduce(0) { $0 + $1.tableBytes })
        text.gauge("store_estimated_rows", "Rows, as RocksDB estimates them.", all.reduce(0) { $0 + $1.estimatedRows })
        text.gauge(
            "store_idempotency_bytes", "Bytes of table files that the records of Idempotency-Keys take.",
            view.table.hosts.reduce(0) { $0 + idempotencyBytes($1.store) })
        text.gauge("store_memtable_bytes", "Bytes of memtables.", all.reduce(0) { $0 + $1.memtableBytes })
        text.gauge("store_unflushed_bytes", "Bytes that only the log makes durable.", view.flushes.unflushedBytes)
        text.gauge("store_cache_bytes", "Bytes in the block cache.", view.resources.blockCacheBytes)
        text.gauge(
            "store_compaction_debt_bytes", "Bytes that compaction has still to rewrite.",
            all.reduce(0) { $0 + $1.compactionDebtBytes })
        text.counter("store_flushes_total", "Flushes done.", view.flushes.flushCount)
    }

    /// A record goes by its time alone, however many an entity has.
    private func idempotencyBytes(_ store: ShardStore) -> Int {
        let family = StoreRows.idempotencyFamily
        return (try? store.approximateTableBytes(from: [family], below: [family + 1])) ?? 0
    }

    private func moves(_ text: inout PrometheusText) {
        let counts = view.cluster.keeper.moveCounts
        let done = view.cluster.keeper.counters.now
        text.gauge("moves_in", "Shards that are moving here.", counts.inbound)
        text.gauge("moves_out", "Shards that are moving away.", counts.outbound)
        text.counter("shards_moved_in_total", "Shards that have moved here.", done.shardsIn)
        text.counter("shards_moved_out_total", "Shards that have moved away.", done.shardsOut)
        text.histogram(
            "move_freeze_seconds", "How long a shard's requests were held at a handover.",
            upperEnds: MoveCounters.freezeMillisecondsClasses.map { Double($0) / 1000 }, counts: done.freezes,
            sum: Double(done.freezeNanoseconds) / 1e9)
        text.gauge("map_revision", "Revision of the cluster's map.", view.cluster.view.map.mapRevision.rawValue)
    }
}
