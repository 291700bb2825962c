package mappingdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

const userSelect = `SELECT user_key, user_id, mxid, kind, alias_of FROM tim_user `

func scanUser(row dbutil.Scannable) (u mapping.User, err error) {
	var mxid sql.NullString
	var alias sql.NullInt64
	err = row.Scan(&u.Key, &u.UserID, &mxid, &u.Kind, &alias)
	u.MXID, u.AliasOf = id.UserID(mxid.String), mapping.UserKey(alias.Int64)
	return u, err
}

// users returns the users whose column has one of the keys.
func users[K comparable](ctx context.Context, s *Store, column string, keys []K) ([]mapping.User, error) {
	var out []mapping.User
	for chunk := range slices.Chunk(unique(keys), maxIn) {
		var a args
		rows, err := s.db.Query(ctx, userSelect+in(s, &a, `WHERE `+column, chunk), a...)
		err = each(rows, err, func(row dbutil.Scannable) error {
			u, err := scanUser(row)
			out = append(out, u)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("failed to get users: %w", err)
		}
	}
	return out, nil
}

func oneUser[K comparable](ctx context.Context, s *Store, column string, key K) (mapping.User, error) {
	found, err := users(ctx, s, column, []K{key})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("user %w", mapping.ErrNotFound)
	}
	if err != nil {
		return mapping.User{}, err
	}
	return found[0], nil
}

// UserByID returns the user with a Tencent UserID, or mapping.ErrNotFound. It may
// be an alias (see mapping.User).
func (s *Store) UserByID(ctx context.Context, userID string) (mapping.User, error) {
	return oneUser(ctx, s, "user_id", userID)
}

// UserByMXID returns the user with an MXID, or mapping.ErrNotFound.
func (s *Store) UserByMXID(ctx context.Context, mxid id.UserID) (mapping.User, error) {
	return oneUser(ctx, s, "mxid", mxid)
}

// UsersByKey returns the users with these keys that exist. Aliases are returned as
// they are; use mapping.User.Person for whom they stand.
func (s *Store) UsersByKey(ctx context.Context, keys []mapping.UserKey) (map[mapping.UserKey]mapping.User, error) {
	found, err := users(ctx, s, "user_key", keys)
	return byKey(found, func(u mapping.User) mapping.UserKey { return u.Key }), err
}

// UsersByMXID returns the users with these MXIDs that exist.
func (s *Store) UsersByMXID(ctx context.Context, mxids []id.UserID) (map[id.UserID]mapping.User, error) {
	found, err := users(ctx, s, "mxid", mxids)
	return byKey(found, func(u mapping.User) id.UserID { return u.MXID }), err
}

// UsersByID returns the users with these Tencent UserIDs that exist.
func (s *Store) UsersByID(ctx context.Context, userIDs []string) (map[string]mapping.User, error) {
	found, err := users(ctx, s, "user_id", userIDs)
	return byKey(found, func(u mapping.User) string { return u.UserID }), err
}

func byKey[K comparable, V any](vs []V, key func(V) K) map[K]V {
	out := make(map[K]V, len(vs))
	for _, v := range vs {
		out[key(v)] = v
	}
	return out
}

// EnsureUser returns the user with u.UserID, made from u if there is none; see
// [Store.EnsureUsers].
func (s *Store) EnsureUser(ctx context.Context, u mapping.User) (mapping.User, error) {
	found, err := s.EnsureUsers(ctx, []mapping.User{u})
	if err != nil {
		return mapping.User{}, err
	}
	return found[0], nil
}

// EnsureUsers returns the users with the given UserIDs in the same order. Those
// that do not exist are made from UserID, MXID and Kind (a ghost or an account;
// linked users come about by LinkUser). A user who has been linked or become an
// alias since is returned as he is. A mapping.ConflictError says that the user has
// another MXID or kind, or the MXID is another user's; then nothing is made.
func (s *Store) EnsureUsers(ctx context.Context, us []mapping.User) ([]mapping.User, error) {
	out := make([]mapping.User, len(us))
	err := s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		_, errs, err := s.putUsers(ctx, us, nil)
		if err != nil {
			return err
		}
		for i := range us {
			if errs[i] != nil {
				return errs[i]
			}
		}
		ids := make([]string, len(us))
		for i, u := range us {
			ids[i] = u.UserID
		}
		found, err := s.UsersByID(ctx, ids)
		for i, userID := range ids {
			out[i] = found[userID]
		}
		return err
	})
	return out, err
}

// putUsers inserts those users that do not exist, unless one of them is refused;
// how many were inserted, and the refusals by index, are returned. aliasOf, if not nil, holds by index the
// UserID of the linked user that an account is an alias of: import alone uses it,
// and may also make linked users.
func (s *Store) putUsers(ctx context.Context, us []mapping.User, aliasOf []string) (news int, refused map[int]error, err error) {
	var ids []string
	var mxids []id.UserID
	for i, u := range us {
		ids = append(ids, u.UserID)
		if u.MXID != "" {
			mxids = append(mxids, u.MXID)
		}
		if aliasOf != nil && aliasOf[i] != "" {
			ids = append(ids, aliasOf[i])
		}
	}
	byID, err := s.UsersByID(ctx, ids)
	if err != nil {
		return 0, nil, err
	}
	byMXID, err := s.UsersByMXID(ctx, mxids)
	if err != nil {
		return 0, nil, err
	}
	errs := make(map[int]error)
	var fresh []mapping.User
	for i, u := range us {
		if u.AliasOf = 0; aliasOf != nil && aliasOf[i] != "" {
			u.AliasOf = byID[aliasOf[i]].Key
		}
		old, known := byID[u.UserID]
		err = nil
		if aliasOf != nil && aliasOf[i] != "" {
			err = checkAlias(u, byID[aliasOf[i]], aliasOf[i])
		}
		if err == nil {
			err = checkUser(u, old, known, byMXID[u.MXID], aliasOf != nil)
		}
		if err != nil {
			errs[i] = err
		} else if !known {
			fresh = append(fresh, u)
			byID[u.UserID] = u
			if u.MXID != "" {
				byMXID[u.MXID] = u
			}
		}
	}
	if len(errs) > 0 {
		return 0, errs, nil
	}
	for chunk := range slices.Chunk(fresh, maxRows) {
		var a args
		values := make([]string, len(chunk))
		for i, u := range chunk {
			values[i] = "(" + list(&a, []any{u.UserID, sql.NullString{String: u.MXID.String(), Valid: u.MXID != ""}, u.Kind, nonZero(u.AliasOf)}) + ")"
		}
		if _, err = s.db.Exec(ctx, `INSERT INTO tim_user (user_id, mxid, kind, alias_of) VALUES `+strings.Join(values, ","), a...); err != nil {
			return 0, nil, fmt.Errorf("failed to insert users: %w", err)
		}
	}
	return len(fresh), nil, nil
}

// checkUser says why u cannot be, given who has its UserID and its MXID. exact
// asks for a known user to be just as u says.
func checkUser(u, old mapping.User, known bool, holder mapping.User, exact bool) error {
	if err := mapping.ValidateUserID(u.UserID); err != nil {
		return err
	} else if u.MXID != "" && mapping.ValidateMXID(u.MXID) != nil {
		return mapping.ValidateMXID(u.MXID)
	} else if u.MXID == "" && u.AliasOf == 0 && !known {
		return fmt.Errorf("%w user %s: it needs an MXID", mapping.ErrInvalid, quote(u.UserID))
	} else if u.Kind > receipts.KindLinked || u.Kind == receipts.KindLinked && !exact {
		return fmt.Errorf("%w user %s: it cannot be made with kind %s", mapping.ErrInvalid, quote(u.UserID), u.Kind)
	}
	if known && !exact && (old.Kind == receipts.KindLinked && u.Kind == receipts.KindGhost || old.AliasOf != 0 && u.Kind == receipts.KindAccount) {
		return nil // linked since; who asks learns it by the answer
	}
	if known && old.Kind != u.Kind {
		return &mapping.ConflictError{What: "user", Key: quote(u.UserID), Holder: "known as " + old.Kind.String() + ", not " + u.Kind.String()}
	} else if known && u.MXID != "" && old.MXID != u.MXID || known && exact && old.MXID != u.MXID {
		return &mapping.ConflictError{What: "user", Key: quote(u.UserID), Holder: describeMXID(old)}
	} else if known && exact && old.AliasOf != u.AliasOf {
		return &mapping.ConflictError{What: "user", Key: quote(u.UserID), Holder: "known with another linked user"}
	} else if u.MXID != "" && holder.UserID != "" && holder.UserID != u.UserID {
		return &mapping.ConflictError{What: "MXID", Key: u.MXID.String(), Holder: "that of user " + quote(holder.UserID)}
	}
	return nil
}

func checkAlias(u, linked mapping.User, linkedID string) error {
	switch {
	case u.Kind != receipts.KindAccount || u.MXID != "":
		return fmt.Errorf("%w user %s: an alias is an account without MXID", mapping.ErrInvalid, quote(u.UserID))
	case linked.UserID == "":
		return fmt.Errorf("%w user %s: user %s, whose alias it is, is not known", mapping.ErrInvalid, quote(u.UserID), quote(linkedID))
	case linked.Kind != receipts.KindLinked:
		return fmt.Errorf("%w user %s: user %s, whose alias it is, is not linked", mapping.ErrInvalid, quote(u.UserID), quote(linkedID))
	}
	return nil
}

func describeMXID(u mapping.User) string {
	if u.MXID == "" {
		return "an alias without MXID"
	}
	return "known as " + u.MXID.String()
}
