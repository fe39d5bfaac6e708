// Package scratch keeps for a while what would be too much for memory: in temporary files without a name, of which a
// bounded part is in memory. What is little needs no file. One goroutine uses each of them at a time.
package scratch
