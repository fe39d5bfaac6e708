package archive

import (
	"context"
	"testing"

	"postcask/migrate/storetest"
)

func TestContract(t *testing.T) {
	for _, format := range formats {
		t.Run(string(format), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Store {
				a := newArchive(t, format)
				return storetest.Store{
					Open:     func(context.Context) (storetest.Both, error) { return a.Sink().(*sink), nil },
					Keywords: true, LastLineEnd: true,
				}
			})
		})
	}
}
