package store

import "postern.dev/postern"

// windowRows are windows as they are kept.
func windowRows(list []postern.Window) (out [][2]int64) {
	for _, w := range list {
		out = append(out, [2]int64{micros(w.From), micros(w.Until)})
	}
	return out
}

func windowsOf(list [][2]int64) (out []postern.Window) {
	for _, w := range list {
		out = append(out, postern.Window{From: fromMicros(w[0]), Until: fromMicros(w[1])})
	}
	return out
}
