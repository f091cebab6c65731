// Adds a product of matrices to sums, tile by tile. A workgroup of WIDTH x WIDTH lanes has a tile of SIDE x SIDE sums, of which a lane has those of every
// WIDTH-th row and column: neighbouring lanes read and write neighbours.
//
// What stands before this says what elements are (Element, zero), where they lie (left_element, right_element, sum_element, put_sum), how
// they are multiplied and added (multiply_add, add), and how many terms are summed from zero (RUN).

const SIDE = 4u * WIDTH;
// tiles of the operands lie term after term; rows are longer by one, so that they begin in different banks of memory
const ROW = SIDE + 1u;

var<workgroup> left: array<Element, DEPTH * ROW>;
var<workgroup> right: array<Element, DEPTH * ROW>;

fn rows() -> u32 { return params[1]; }
fn columns() -> u32 { return params[2]; }
fn terms() -> u32 { return params[3]; }

// Line and term of element t of a tile, in the order in which they lie: term after term of a line, or line after line of a term.
fn place(t: u32, turned: bool) -> vec2<u32> {
    return select(vec2<u32>(t / DEPTH, t % DEPTH), vec2<u32>(t % SIDE, t / SIDE), turned);
}

// Adds a run's sum. Of those that are 0 still it does not matter what is there.
fn add_to(row: u32, column: u32, run: Element, fresh: bool) {
    if row < rows() && column < columns() {
        let i = params[10] + row * params[11] + column;
        put_sum(i, add(select(sum_element(i), zero(), fresh), run));
    }
}

@compute @workgroup_size(WIDTH * WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_row = group.y * SIDE;
    let first_column = group.x * SIDE;
    let y = lane / WIDTH;
    let x = lane % WIDTH;
    for (var run = 0u; run < terms(); run += RUN) {
        var s00 = zero(); var s01 = zero(); var s02 = zero(); var s03 = zero();
        var s10 = zero(); var s11 = zero(); var s12 = zero(); var s13 = zero();
        var s20 = zero(); var s21 = zero(); var s22 = zero(); var s23 = zero();
        var s30 = zero(); var s31 = zero(); var s32 = zero(); var s33 = zero();
        let end = min(terms() - run, RUN);
        for (var k = 0u; k < end; k += DEPTH) {
            for (var t = lane; t < SIDE * DEPTH; t += WIDTH * WIDTH) {
                let a = place(t, params[6] != 1u);
                let b = place(t, params[9] != 1u);
                let row = first_row + a.x;
                let column = first_column + b.x;
                var from_left = zero();
                var from_right = zero();
                if row < rows() && k + a.y < end {
                    from_left = left_element(row * params[5] + (run + k + a.y) * params[6]);
                }
                if column < columns() && k + b.y < end {
                    from_right = right_element(column * params[8] + (run + k + b.y) * params[9]);
                }
                left[a.y * ROW + a.x] = from_left;
                right[b.y * ROW + b.x] = from_right;
            }
            workgroupBarrier();
            for (var p = 0u; p < DEPTH; p++) {
                let a0 = left[p * ROW + y];
                let a1 = left[p * ROW + y + WIDTH];
                let a2 = left[p * ROW + y + 2u * WIDTH];
                let a3 = left[p * ROW + y + 3u * WIDTH];
                let b0 = right[p * ROW + x];
                let b1 = right[p * ROW + x + WIDTH];
                let b2 = right[p * ROW + x + 2u * WIDTH];
                let b3 = right[p * ROW + x + 3u * WIDTH];
                s00 = multiply_add(a0, b0, s00); s01 = multiply_add(a0, b1, s01);
                s02 = multiply_add(a0, b2, s02); s03 = multiply_add(a0, b3, s03);
                s10 = multiply_add(a1, b0, s10); s11 = multiply_add(a1, b1, s11);
                s12 = multiply_add(a1, b2, s12); s13 = multiply_add(a1, b3, s13);
                s20 = multiply_add(a2, b0, s20); s21 = multiply_add(a2, b1, s21);
                s22 = multiply_add(a2, b2, s22); s23 = multiply_add(a2, b3, s23);
                s30 = multiply_add(a3, b0, s30); s31 = multiply_add(a3, b1, s31);
                s32 = multiply_add(a3, b2, s32); s33 = multiply_add(a3, b3, s33);
            }
            workgroupBarrier();
        }
        let r0 = first_row + y;
        let c0 = first_column + x;
        let r1 = r0 + WIDTH;
        let r2 = r1 + WIDTH;
        let r3 = r2 + WIDTH;
        let c1 = c0 + WIDTH;
        let c2 = c1 + WIDTH;
        let c3 = c2 + WIDTH;
        let fresh = run == 0u && params[12] == 1u;
        add_to(r0, c0, s00, fresh); add_to(r0, c1, s01, fresh); add_to(r0, c2, s02, fresh); add_to(r0, c3, s03, fresh);
        add_to(r1, c0, s10, fresh); add_to(r1, c1, s11, fresh); add_to(r1, c2, s12, fresh); add_to(r1, c3, s13, fresh);
        add_to(r2, c0, s20, fresh); add_to(r2, c1, s21, fresh); add_to(r2, c2, s22, fresh); add_to(r2, c3, s23, fresh);
        add_to(r3, c0, s30, fresh); add_to(r3, c1, s31, fresh); add_to(r3, c2, s32, fresh); add_to(r3, c3, s33, fresh);
    }
}
