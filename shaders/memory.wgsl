// What a launch works on: all inputs in one buffer, all results in another, and words of parameters.

@group(0) @binding(0) var<storage, read> params: array<u32>;
@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;

// Blocks that stay on the device.
@group(0) @binding(3) var<storage, read> resident0: array<u32>;
@group(0) @binding(4) var<storage, read> resident1: array<u32>;
@group(0) @binding(5) var<storage, read> resident2: array<u32>;
@group(0) @binding(6) var<storage, read> resident3: array<u32>;

// Element i of those that begin at word `base`.
fn load_8(base: u32, i: u32) -> u32 { return (input[base + (i >> 2u)] >> ((i & 3u) * 8u)) & 0xffu; }
fn load_16(base: u32, i: u32) -> u32 { return (input[base + (i >> 1u)] >> ((i & 1u) * 16u)) & 0xffffu; }
fn load_32(base: u32, i: u32) -> u32 { return input[base + i]; }
fn load_64(base: u32, i: u32) -> vec2<u32> { return vec2<u32>(input[base + 2u * i], input[base + 2u * i + 1u]); }
