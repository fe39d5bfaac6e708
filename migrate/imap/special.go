package imap

import (
	"strings"

	"postcask/migrate"
)

// roleOf finds the special use among a mailbox's attributes (RFC 6154, section 2), those of Gmail's older XLIST too.
func roleOf(attributes []string) migrate.Role {
	for _, attribute := range attributes {
		if role, ok := roles[strings.ToLower(attribute)]; ok {
			return role
		}
	}
	return ""
}

var roles = map[string]migrate.Role{
	`\all`:     migrate.RoleAll,
	`\allmail`: migrate.RoleAll,
	`\archive`: migrate.RoleArchive,
	`\drafts`:  migrate.RoleDrafts,
	`\flagged`: migrate.RoleFlagged,
	`\starred`: migrate.RoleFlagged,
	`\junk`:    migrate.RoleJunk,
	`\spam`:    migrate.RoleJunk,
	`\sent`:    migrate.RoleSent,
	`\trash`:   migrate.RoleTrash,
}
