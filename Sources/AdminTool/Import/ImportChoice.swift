import KeysteadClient

/// What the caller said of an import's lines, and what is made of it. Pure.
struct ImportChoice: Sendable {
    /// The file as the caller named it.
    let input: String
    let named: LineFormatName?
    let idField: String?

    /// What the flags alone say; `nil` where the first line has a say.
    var format: LineFormat? {
        switch (named, idField) {
        case (.full, _): .full
        case (.states, let idField?): .states(idField: idField)
        case (.states, nil), (nil, _): nil
        }
    }

    /// Whether the flags say something else than what an import began with.
    func contradicts(_ begun: LineFormat) -> Bool {
        switch begun {
        case .full: named == .states
        case .states(let begunField): named == .full || idField.map { $0 != begunField } ?? false
        }
    }

    /// What the lines are, told by the first of them that is not blank.
    ///
    /// - Parameter number: the line's, for what is said of it.
    func format(of first: ArraySlice<UInt8>, number: UInt64) throws -> LineFormat {
        if let format { return format }
        if FullLine.isOne(first) { return .full }
        if let idField { return .states(idField: idField) }
        // A full line with something wrong in it is refused as one, and says what.
        if let object = JSONText(first), object.member("key") != nil { return .full }
        throw CommandFailure(
            .usage,
            "line \(number) of \(input) is no line of a full export: give --id-field NAME, the member that holds "
                + "the id where the lines are states, or --format full; nothing was sent")
    }
}
