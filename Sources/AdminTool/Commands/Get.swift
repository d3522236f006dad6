import ArgumentParser
import KeysteadClient
import Primitives

struct Get: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the state of an entity: exactly its bytes, nothing added.",
        discussion: """
            Exactly its bytes go to a file or another program. On a terminal, control characters and the like, which \
            would drive it, are shown as escapes, and a message says so.

            With --output json, one object: key, etag, position, content-type, and the state as json, text or base64.
            """)

    @Argument(help: "KIND/ID")
    var key: KeyArgument

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient(data: .ofOneRead) { client in
            let entity = try await client.get(key.key)
            switch output.output {
            case .table:
                if try !Console.current.write(stored: entity.state[...]) {
                    Console.current.say("not its exact bytes: what would drive a terminal is shown as escapes")
                }
            case .json: try Console.current.write(json: describe(entity))
            }
        }
    }

    private func describe(_ entity: Entity) -> [UInt8] {
        var object = JSONObject()
        object.add("key", entity.key.description)
        object.add("etag", entity.etag.description)
        object.add("position", entity.position?.description)
        object.add("content-type", entity.contentType)
        if isJSONType(entity.contentType), JSONText(entity.state) != nil {
            object.add("json", raw: entity.state)
        } else if isUTF8(entity.state[...]) {
            object.add("text", String(decoding: entity.state, as: UTF8.self))
        } else {
            object.add("base64", String(decoding: Base64.encode(entity.state), as: UTF8.self))
        }
        return object.bytes
    }

    /// `application/json` and the types built on it (RFC 6839), whatever their parameters.
    private func isJSONType(_ contentType: String) -> Bool {
        let type = contentType.prefix { $0 != ";" && $0 != " " }.lowercased()
        return type == "application/json" || type.hasSuffix("+json")
    }
}
