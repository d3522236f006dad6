import Entities
import JSON

extension JSONValue {
    static func text(_ text: String) -> JSONValue { .string(JSONString(content: Array(text.utf8)[...])) }

    static func integer(_ value: some BinaryInteger) -> JSONValue { .number(JSONNumber(Int64(clamping: value))) }

    /// `value` is finite.
    static func decimal(_ value: Double) -> JSONValue {
        let text = value == value.rounded() && value.magnitude < 1e15 ? "\(Int64(value))" : "\(value)"
        return (try? JSONValue(parsing: Array(text.utf8))) ?? .null
    }

    static func object(_ members: [(String, JSONValue)]) -> JSONValue {
        var object = JSONObject()
        for (name, value) in members { object.set(JSONString(content: Array(name.utf8)[...]), value) }
        return .object(object)
    }

    static func list(_ items: [JSONValue]) -> JSONValue { .array(items) }
}
