package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/cli"
)

// maxDocument is the largest OpenAPI document that is read.
const maxDocument = 32 << 20

// readSource reads a document from a file, or from standard input for "-".
func readSource(name string) (catalog.Source, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return catalog.Source{}, cli.Fail("not_found", fmt.Errorf("the document %s can't be read: %w", name, errors.Unwrap(err)))
		}
		defer f.Close()
	}
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return catalog.Source{}, fmt.Errorf("read %s: %w", name, err)
	}
	return catalog.Source{Name: name, Data: data}, nil
}
