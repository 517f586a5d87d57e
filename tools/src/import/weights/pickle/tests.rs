//! Pickles as they come, and as nobody should send them.

use super::*;

fn error(bytes: &[u8]) -> String {
    Pickle::read(bytes).unwrap_err().to_string()
}

#[test]
fn values_are_shared_and_what_follows_is_returned() {
    // {"a": (1, -2), "b": the same tuple}, then two more bytes.
    let (pickle, rest) =
        Pickle::read(b"\x80\x02}(U\x01aK\x01J\xfe\xff\xff\xff\x86q\x00U\x01bh\x00u.xy").unwrap();
    assert_eq!(rest, b"xy");
    let Value::Dict(items) = pickle.root() else {
        panic!("{:?}", pickle.root());
    };
    assert_eq!(items.len(), 2);
    assert_eq!(items[0].1, items[1].1);
    assert_eq!(pickle.text(items[1].0), Some("b"));
    let Value::Tuple(numbers) = pickle.value(items[0].1) else {
        panic!("no tuple");
    };
    assert!(matches!(pickle.value(numbers[1]), Value::Integer(-2)));
}

#[test]
fn protocol_4_is_read_too() {
    let bytes = b"\x80\x04\x95\x22\0\0\0\0\0\0\0\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94.";
    let (pickle, _) = Pickle::read(bytes).unwrap();
    assert!(matches!(pickle.root(), Value::Dict(items) if items.is_empty()));
}

#[test]
fn nothing_else_is_called() {
    for bytes in [
        &b"cos\nsystem\n(S'true'\ntR."[..],
        b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        // The name of a class is refused before anything is made of it.
        b"\x80\x02cos\nsystem\n)\x81.",
    ] {
        assert!(
            error(bytes).starts_with("refuses to call os.system"),
            "{}",
            error(bytes)
        );
    }
    assert!(
        error(b"\x80\x02ctorch._utils\n_rebuild_qtensor\n.")
            .contains("torch._utils._rebuild_qtensor")
    );
    // Named by a protocol that calls by number, or that calls what stands in the file itself.
    assert!(error(b"\x80\x02\x82\x01.").starts_with("opcode 0x82 at byte 2"));
    assert!(error(b"(i__main__\nNet\n.").starts_with("opcode 0x69"));
    assert!(error(b"\x80\x02K\x01)R.").contains("cannot be called"));
}

#[test]
fn cycles_and_memo_bombs_cost_nothing() {
    // l = []; l.append(l)
    assert!(Pickle::read(b"\x80\x02]q\x00h\x00a.").is_ok());
    // Each list holds the one before it ten times: 10 to the 200th elements, if they were copied.
    let mut bomb = b"\x80\x02]q\x00".to_vec();
    for _ in 0..200 {
        bomb.extend(b"](h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00eq\x00");
    }
    bomb.push(b'.');
    assert!(Pickle::read(&bomb).is_ok());
    let many = [&b"\x80\x02"[..], &vec![b'N'; MAX_VALUES + 1], b"."].concat();
    assert!(error(&many).contains("1048576 values"));
}

#[test]
fn what_python_would_refuse_is_refused() {
    for (bytes, right) in [
        (&b""[..], "it ends too early"),
        (b"\x80\x02X\xff\xff\xff\xffabc", "it ends too early"),
        (b"\x80\x02cos", "it ends too early"),
        (b"\x80\x02.", "a value is missing"),
        (b"\x80\x02N(\x85.", "a value is missing"),
        (b"\x80\x02t.", "a mark is missing"),
        (b"\x80\x02h\x07.", "the memo has no such value"),
        (b"\x80\x02q\x07.", "there is no value to memoize"),
        (b"\x80\x02}(Nu.", "a key has no value"),
        (b"\x80\x02](NNu.", "only a dict may have keys"),
        (b"\x80\x02}Na.", "only a list may be appended to"),
        (b"\x80\x02]Nb.", "only a dict may be given attributes"),
        (b"\x80\x02NQ.", "a reference must be a tuple"),
        (b"\x80\x02)Q.", "a reference to something else"),
        (b"\x80\x02U\x01\xff.", "a text is not UTF-8"),
        (
            b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.",
            "these arguments are not possible",
        ),
    ] {
        assert!(error(bytes).contains(right), "{bytes:?}: {}", error(bytes));
    }
}
