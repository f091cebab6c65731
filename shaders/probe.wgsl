// Operands for the probe of an adapter's arithmetic, and what it means that results differ.

fn random(i: u32, slot: u32) -> u32 {
    var x = (i * 4u + slot) * 747796405u + 2891336453u;
    x = ((x >> ((x >> 28u) + 4u)) ^ x) * 277803737u;
    return (x >> 22u) ^ x;
}

// Floats where arithmetic goes wrong: zeros, subnormals and their neighbours, ones, ties, large ones, infinities, NaN; as integers they are
// as good as any.
fn special_32(k: u32) -> u32 {
    var table = array<u32, 32>(
        0x00000000u, 0x80000000u, 0x00000001u, 0x80000001u, 0x007fffffu, 0x807fffffu, 0x00800000u, 0x80800000u,
        0x00800001u, 0x3f800000u, 0xbf800000u, 0x3f800001u, 0x3f7fffffu, 0x3f000000u, 0xbf000000u, 0x3fc00000u,
        0x40200000u, 0xc0200000u, 0x4b000000u, 0x4b000001u, 0x4b7fffffu, 0xcb800001u, 0x4f000000u, 0x5f000000u,
        0x33800000u, 0x34000000u, 0x7f7fffffu, 0xff7fffffu, 0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc00001u);
    return table[k & 31u];
}

fn special_64(k: u32) -> vec2<u32> {
    let x = special_32(k);
    // the same kinds of number, with low words that matter
    let e = (x >> 23u) & 0xffu;
    var high = (x & 0x80000000u) | ((x & 0x7fffffu) >> 3u);
    if e == 255u { high = high | 0x7ff00000u; } else if e != 0u { high = high | ((e + 896u) << 20u); }
    return vec2<u32>(select(0u, x << 29u, (x & 0x7fffffu) != 0u), high);
}

// The first probes are all pairs of special operands; then come by turns random ones, near ones, ones of similar size, and small integers.
fn operand_32(i: u32, slot: u32) -> u32 {
    let r = random(i, slot);
    if i < 1024u { return special_32(select(select(r, i >> 5u, slot == 1u), i, slot == 0u)); }
    let a = random(i, 0u);
    switch i & 3u {
        case 0u: { return r; }
        case 1u: { return select((a ^ (r & 0x800000ffu)), a, slot == 0u); }
        case 2u: { return (r & 0x807fffffu) | ((100u + (r >> 8u) % 56u) << 23u); }
        default: { return r >> (random(i, 3u + slot) & 31u); }
    }
}

fn operand_64(i: u32, slot: u32) -> vec2<u32> {
    let r = vec2<u32>(random(i, slot), random(i + 77777u, slot));
    if i < 1024u { return special_64(select(select(r.x, i >> 5u, slot == 1u), i, slot == 0u)); }
    let a = vec2<u32>(random(i, 0u), random(i + 77777u, 0u));
    switch i & 3u {
        case 0u: { return r; }
        case 1u: { return select(vec2<u32>(a.x ^ (r.x & 0xffu), a.y ^ (r.y & 0x80000000u)), a, slot == 0u); }
        // from below the smallest of f32 to above its largest
        case 2u: { return vec2<u32>(r.x, (r.y & 0x800fffffu) | ((863u + (r.y >> 8u) % 320u) << 20u)); }
        default: {
            let n = random(i, 3u + slot) & 63u;
            return shift_right(r, n);
        }
    }
}

fn differs_f32(a: u32, b: u32) -> bool { return a != b && !(f32_isnan(a) && f32_isnan(b)); }
fn differs_f64(a: vec2<u32>, b: vec2<u32>) -> bool { return u64_ne(a, b) && !(f64_isnan(a) && f64_isnan(b)); }
fn differs_pair(a: vec2<u32>, b: vec2<u32>) -> bool { return u64_ne(a, b); }
fn differs_pairs(a: vec4<u32>, b: vec4<u32>) -> bool { return any(a != b); }
fn differs_bool(a: bool, b: bool) -> bool { return a != b; }
