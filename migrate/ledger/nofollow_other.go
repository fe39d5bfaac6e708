//go:build !unix

package ledger

const noFollow = 0
