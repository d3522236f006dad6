import Entities
import JSON
import Primitives

let ringSeed: UInt64 = 0x6B65_7973_7465_6164

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

func key(_ plain: String) throws -> EntityKey { try EntityKey(plain: bytes(plain)[...], seed: ringSeed) }

/// The code of the problem that `body` ends with, `nil` where it ends well.
func problemCode(_ body: () throws -> Void) -> ProblemCode? {
    do {
        try body()
        return nil
    } catch let problem as Problem {
        return problem.code
    } catch {
        return nil
    }
}

extension SplitMix64 {
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
}

func json(_ text: String) throws -> JSONValue { try JSONValue(parsing: bytes(text)) }

func jsonError(_ text: ArraySlice<UInt8>) -> JSONError? {
    do throws(JSONError) {
        _ = try JSONValue(parsing: text)
        return nil
    } catch {
        return error
    }
}

/// The outcome of a PATCH: the new state's text, or why it was refused.
enum Patched: Equatable, CustomStringConvertible {
    case state(String)
    case refused(ProblemCode)

    var description: String {
        switch self {
        case .state(let text): text
        case .refused(let code): "refused: \(code.name)"
        }
    }
}

let noon = Timestamp(milliseconds: 1_000_000)

func stored(
    _ state: String, version: UInt64 = 7, contentType: String = "application/json", expiresAt: Timestamp? = nil
) -> StoredRecord {
    StoredRecord(
        version: Position(version), updatedAt: .zero, expiresAt: expiresAt, contentType: bytes(contentType),
        state: bytes(state))
}

/// Patches an entity of this state (`nil`: an absent one).
func patch(
    _ kind: PatchKind, _ document: String, on state: String?, limits: EntityLimits = EntityLimits()
) -> Patched {
    do {
        let operation = WriteOperation(key: try key("doc/1"), action: .patch(kind, document: bytes(document)))
        let current = state.map { stored($0) }
        switch operation.evaluate(current: current, position: Position(8), now: noon, limits: limits) {
        case .refused(let problem, _): return .refused(problem.code)
        case .effect(let record, _): return .state(record.map { text($0.state) } ?? "removed")
        }
    } catch {
        return .state("\(error)")
    }
}

/// The detail of the problem that a PATCH is refused with.
func refusal(_ kind: PatchKind, _ document: String, on state: String?) throws -> String? {
    let operation = WriteOperation(key: try key("doc/1"), action: .patch(kind, document: bytes(document)))
    let evaluation = operation.evaluate(
        current: state.map { stored($0) }, position: Position(8), now: noon, limits: EntityLimits())
    guard case .refused(let problem, _) = evaluation else { return nil }
    return problem.detail
}
