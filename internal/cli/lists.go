package cli

import (
	"iter"

	"postern.dev/postern/internal/cli/screen"
)

// collect reads a list that comes in pages: at most limit items, or with 0 all.
// more says that there are others.
func collect[T any](c *call, what string, limit int, seq iter.Seq2[T, error]) (items []T, more bool, err error) {
	spin := c.Spin("Reading " + what + "…")
	defer spin.Stop()
	for item, err := range seq {
		if err != nil {
			return nil, false, err
		}
		if limit > 0 && len(items) == limit {
			return items, true, nil
		}
		items = append(items, item)
		if len(items)%100 == 0 {
			spin.Say("Reading " + what + "… " + screen.Number(int64(len(items))))
		}
	}
	return items, false, nil
}

// pageLimit is how many items one request asks for.
func pageLimit(limit int) int {
	if limit <= 0 || limit >= 200 {
		return 200
	}
	return limit + 1 // one more shows whether there are others
}

// waiting runs a request with a sign of life.
func waiting[T any](c *call, text string, do func() (T, error)) (T, error) {
	spin := c.Spin(text)
	defer spin.Stop()
	return do()
}
