public import Entities
public import Primitives

/// Makes the text of a page as a front's callers read it. That takes a while where the page is long, so a node does it
/// on a thread of its own. Any thread may call.
public protocol PageRenderer: Sendable {
    /// Sets ``Entities/ListPage/text`` and empties the items.
    ///
    /// - Parameters:
    ///   - textBytesMax: the page ends early behind the item that brings its text here.
    ///   - now: tells the seconds that entities have left.
    ///   - yield: called between items, every few dozen.
    func render(_ page: inout ListPage, textBytesMax: Int, now: Timestamp, yield: () -> Void)
}
