import Foundation

/// Where one node answers.
struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    let id: String
    let host: String
    let port: UInt16
    let adminPort: UInt16

    var description: String { id }

    func client() throws -> EntityClient { EntityClient(try RawConnection(host: host, port: port)) }

    /// One request to the admin listener.
    func admin(_ path: String, method: String = "GET", seconds: Double = RawConnection.patienceSeconds) throws
        -> HTTPAnswer
    {
        let connection = try RawConnection(host: host, port: adminPort)
        let fields = [("Connection", "close")] + (method == "GET" ? [] : [("Content-Length", "0")])
        try connection.send(EntityClient.request(method, path, fields))
        return try connection.answer(seconds: seconds)
    }

    /// The answer of the admin listener as a value; anything but 200, 201 and 202 throws.
    func admin<Value: Decodable>(
        _ path: String, method: String = "GET", seconds: Double = RawConnection.patienceSeconds, as: Value.Type
    ) throws -> Value {
        let answer = try admin(path, method: method, seconds: seconds)
        guard (200...202).contains(answer.status) else {
            throw HarnessError("\(id) answered \(method) \(path) with\n\(answer)")
        }
        do {
            return try JSONDecoder().decode(Value.self, from: Data(answer.body))
        } catch {
            throw HarnessError("\(id) answered \(method) \(path) with \(answer.text): \(error)")
        }
    }

    func picture(seconds: Double = RawConnection.patienceSeconds) throws -> ClusterPicture {
        try admin("/v1/cluster", seconds: seconds, as: ClusterPicture.self)
    }

    /// Who has this key, as this node believes.
    func place(of key: String) throws -> ShardPlace {
        try admin(EntityClient.path(key, under: "/v1/where/"), as: ShardPlace.self)
    }

    func operation(_ id: String) throws -> OperationPicture {
        try admin("/v1/operations/\(id)", as: OperationPicture.self)
    }

    func plan() throws -> PlanPicture { try admin("/v1/admin/rebalance/plan", as: PlanPicture.self) }

    /// Runs `keysteadctl` against this node.
    func control(_ arguments: [String], in folder: String, seconds: Double = 120) throws -> ControlResult {
        let place = ["--endpoint", "http://\(host):\(port)", "--admin", "http://\(host):\(adminPort)"]
        let result = try ChildProcess.run(
            Programs.control, arguments + place, in: folder, seconds: seconds)
        guard case .exited(let code) = result.ending else {
            throw HarnessError("keysteadctl \(arguments) ended by \(result.ending): \(result.errors)")
        }
        return ControlResult(arguments: arguments, code: code, output: result.output, errors: result.errors)
    }
}

/// How a run of `keysteadctl` ended.
struct ControlResult: Sendable, CustomStringConvertible {
    let arguments: [String]
    let code: Int32
    let output: String
    let errors: String

    /// What it printed, read as JSON.
    func read<Value: Decodable>(_: Value.Type = Value.self) throws -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(output.utf8))
        } catch {
            throw HarnessError("\(self)\nis not what it should be: \(error)")
        }
    }

    /// Throws unless it ended with `code`.
    @discardableResult
    func ended(with wanted: Int32 = 0) throws -> ControlResult {
        guard code == wanted else { throw HarnessError("it should have ended with \(wanted): \(self)") }
        return self
    }

    var description: String {
        "keysteadctl \(arguments.joined(separator: " ")) ended with \(code)\nstdout: \(output)\nstderr: \(errors)"
    }
}
