package memory_test

import (
	"context"
	"testing"

	"postcask/migrate/memory"
	"postcask/migrate/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store {
		store := memory.New()
		return storetest.Store{Keywords: true, LastLineEnd: true,
			Open: func(ctx context.Context) (storetest.Both, error) { return store.Open(ctx) }}
	})
}
