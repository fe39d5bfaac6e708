package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/rivo/uniseg"
)

// A table aligns columns on a terminal, where some characters are two cells wide and some none.
type table struct {
	out  io.Writer
	rows [][]string
}

// tableStretch is how many rows are aligned with one another, so that a large mailbox shows early and fills no memory.
const tableStretch = 200

func (t *table) row(cells []string) {
	if t.rows = append(t.rows, cells); len(t.rows) == tableStretch {
		t.flush()
	}
}

// flush prints the rows that are waiting.
func (t *table) flush() {
	var widths []int
	for _, cells := range t.rows {
		for i, cell := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	for _, cells := range t.rows {
		var line strings.Builder
		for i, cell := range cells {
			line.WriteString(cell)
			if i < len(cells)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]+2-uniseg.StringWidth(cell)))
			}
		}
		fmt.Fprintln(t.out, line.String())
	}
	t.rows = t.rows[:0]
}

// shorten cuts text to so many cells of a terminal and says that it did.
func shorten(text string, limit int) string {
	if uniseg.StringWidth(text) <= limit {
		return text
	}
	var short strings.Builder
	left := limit - 1 // for the dots
	for clusters := uniseg.NewGraphemes(text); clusters.Next(); short.WriteString(clusters.Str()) {
		if left -= clusters.Width(); left < 0 {
			break
		}
	}
	return short.String() + "…"
}
