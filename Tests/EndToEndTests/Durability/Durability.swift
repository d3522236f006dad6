import Testing

/// What must survive: crashes, power cuts, full and failing disks, flipped bits. One after the other, since each keeps
/// the machine busy.
@Suite(.serialized) struct Durability {}
