package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "development"

type versionDocument struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func versionOf() versionDocument {
	doc := versionDocument{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				doc.Commit = setting.Value
			case "vcs.modified":
				doc.Modified = setting.Value == "true"
			}
		}
	}
	return doc
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Tell the version",
		Long:    `Tell the version of postcask, the commit it was built from, and by which Go.`,
		Example: "  postcask version\n  postcask version --json",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			doc := versionOf()
			if c.term.json {
				c.term.object(doc)
				return nil
			}
			line := "postcask " + doc.Version
			if doc.Commit != "" {
				line += fmt.Sprintf(" (%s)", doc.Commit)
			}
			c.term.print(line + ", " + doc.Go + ", " + doc.Platform)
			return nil
		},
	}
}
