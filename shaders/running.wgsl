// Folds elements with those before them along an axis, in place. A lane has a line: what it does is in order, and neighbouring lanes have neighbouring
// lines.
//
// What stands before this says what elements are (Element), where they lie (element, put), and how they are folded (fold).
//
// params: 0, lines, elements of a line, the first element, elements from one of a line to the next, 1 if the line continues what lies before it,
// workgroups in a row of the grid, axes of the lines, and of each axis its length and elements from one line to the next.

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let line = (group.y * params[6] + group.x) * WIDTH + lane;
    if line >= params[1] { return; }
    var rest = line;
    var at = params[3];
    for (var axis = params[7]; axis > 0u; axis--) {
        let length = params[6u + 2u * axis];
        at += (rest % length) * params[7u + 2u * axis];
        rest = rest / length;
    }
    let step = params[4];
    var k = 0u;
    var total = element(at);
    if params[5] == 1u {
        total = element(at - step);
    } else {
        k = 1u;
    }
    for (; k < params[2]; k++) {
        let i = at + k * step;
        total = fold(total, element(i));
        put(i, total);
    }
}
