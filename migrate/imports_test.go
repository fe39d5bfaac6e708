package migrate_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// keptTo tells in which folders of the project an import may be met.
var keptTo = map[string][]string{
	"github.com/emersion/go-imap/":    {"migrate/imap", "archive/imapd", "migrate/testserver"},
	"github.com/knadh/go-pop3":        {"migrate/pop3"},
	"github.com/emersion/go-mbox":     {"archive/mbox"},
	"modernc.org/sqlite":              {"migrate/ledger"},
	"github.com/spf13/":               {"cmd/postcask"},
	"github.com/schollz/progressbar/": {"cmd/postcask"},
	"golang.org/x/term":               {"cmd/postcask"},
	"postcask/cmd":                    {"cmd"},
	"postcask/archive":                {"cmd", "archive"},
}

// TestImportsRunOneWay holds the layers apart: cmd → archive → migrate, and each library behind the one package that
// knows how to treat it.
func TestImportsRunOneWay(t *testing.T) {
	root, files := "..", 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		files++
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			for prefix, folders := range keptTo {
				if strings.HasPrefix(imported, prefix) && !within(filepath.ToSlash(relative), folders) {
					t.Errorf("%s imports %s", relative, imported)
				}
			}
			if within(filepath.ToSlash(relative), []string{"migrate"}) && strings.Count(filepath.ToSlash(relative), "/") == 1 &&
				!strings.HasSuffix(relative, "_test.go") && strings.HasPrefix(imported, "postcask/") && imported != "postcask/migrate/scratch" {
				t.Errorf("%s imports %s: the engine knows no end", relative, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("only %d files were looked at", files)
	}
}

func within(path string, folders []string) bool {
	for _, folder := range folders {
		if strings.HasPrefix(path, folder+"/") {
			return true
		}
	}
	return false
}
