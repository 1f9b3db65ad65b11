package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

// Create implements association.Store.
func (s *Store) Create(ctx context.Context, a identity.Association, once association.Once, limit int) (identity.Association, error) {
	stored := a
	err := s.write(ctx, func(tx *sql.Tx) error {
		id, err := recall(tx, a.Cluster, once)
		if err != nil {
			return err
		}
		if id != "" {
			stored, err = get(ctx, tx, a.Cluster, id)
			return err
		}
		cluster := a.Cluster.ARN()
		var existing string
		err = tx.QueryRow(`SELECT id FROM association WHERE cluster = ? AND namespace = ? AND service_account = ?`,
			cluster, a.Namespace, a.ServiceAccount).Scan(&existing)
		if err == nil {
			return association.AlreadyExists(existing)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var count int
		if err := tx.QueryRow(`SELECT count(*) FROM association WHERE cluster = ?`, cluster).Scan(&count); err != nil {
			return err
		}
		if count >= limit {
			return association.LimitReached(limit)
		}
		tags, err := encodeTags(a.Tags)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO association (cluster, id, `+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			cluster, a.ID, a.Namespace, a.ServiceAccount, a.RoleARN, a.TargetRoleARN, a.DisableSessionTags,
			a.Policy, tags, a.OwnerARN, a.CreatedAt.UnixMilli(), a.ModifiedAt.UnixMilli(), milliseconds(a.RevokedAt)); err != nil {
			return err
		}
		return remember(tx, a, once)
	})
	if err != nil {
		return identity.Association{}, err
	}
	return stored, nil
}

// Update implements association.Store.
func (s *Store) Update(ctx context.Context, cluster identity.Cluster, id string, once association.Once, edit func(*identity.Association) error) (identity.Association, error) {
	var a identity.Association
	err := s.write(ctx, func(tx *sql.Tx) error {
		known, err := recall(tx, cluster, once)
		if err != nil {
			return err
		}
		if a, err = get(ctx, tx, cluster, id); err != nil || known != "" {
			return err
		}
		if err := edit(&a); err != nil {
			return err
		}
		tags, err := encodeTags(a.Tags)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE association SET role_arn = ?, target_role_arn = ?, disable_session_tags = ?,
			policy = ?, tags = ?, owner_arn = ?, modified_at = ?, revoked_at = ? WHERE cluster = ? AND id = ?`,
			a.RoleARN, a.TargetRoleARN, a.DisableSessionTags, a.Policy, tags, a.OwnerARN, a.ModifiedAt.UnixMilli(), milliseconds(a.RevokedAt),
			cluster.ARN(), id); err != nil {
			return err
		}
		return remember(tx, a, once)
	})
	if err != nil {
		return identity.Association{}, err
	}
	return a, nil
}

// Delete implements association.Store.
func (s *Store) Delete(ctx context.Context, cluster identity.Cluster, id string, check func(identity.Association) error) (identity.Association, error) {
	var a identity.Association
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		if a, err = get(ctx, tx, cluster, id); err != nil {
			return err
		}
		if err := check(a); err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM association WHERE cluster = ? AND id = ?`, cluster.ARN(), id)
		return err
	})
	if err != nil {
		return identity.Association{}, err
	}
	return a, nil
}

// Find implements association.Store.
func (s *Store) Find(ctx context.Context, q association.Query) ([]identity.Association, error) {
	found, err := find(ctx, s.reader, q)
	return found, failure(err)
}

// columns are those of an association but for its key.
const columns = `namespace, service_account, role_arn, target_role_arn, disable_session_tags, policy, tags, owner_arn, created_at, modified_at, revoked_at`

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func find(ctx context.Context, db querier, q association.Query) ([]identity.Association, error) {
	where, args := []string{"cluster = ?"}, []any{q.Cluster.ARN()}
	restrict := func(condition, value string) {
		if value != "" {
			where, args = append(where, condition), append(args, value)
		}
	}
	restrict("id = ?", q.ID)
	restrict("namespace = ?", q.Namespace)
	restrict("service_account = ?", q.ServiceAccount)
	restrict("id > ?", q.After)
	rows, err := db.QueryContext(ctx,
		`SELECT id, `+columns+` FROM association WHERE `+strings.Join(where, " AND ")+` ORDER BY id LIMIT ?`, append(args, q.Limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []identity.Association
	for rows.Next() {
		a := identity.Association{Cluster: q.Cluster}
		var tags string
		var created, modified, revoked int64
		if err := rows.Scan(&a.ID, &a.Namespace, &a.ServiceAccount, &a.RoleARN, &a.TargetRoleARN, &a.DisableSessionTags,
			&a.Policy, &tags, &a.OwnerARN, &created, &modified, &revoked); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(tags), &a.Tags); err != nil {
			return nil, fmt.Errorf("tags of association %s: %w", a.ID, err)
		}
		a.CreatedAt, a.ModifiedAt = time.UnixMilli(created).UTC(), time.UnixMilli(modified).UTC()
		if revoked != 0 {
			a.RevokedAt = time.UnixMilli(revoked).UTC()
		}
		found = append(found, a)
	}
	return found, rows.Err()
}

func get(ctx context.Context, tx *sql.Tx, cluster identity.Cluster, id string) (identity.Association, error) {
	found, err := find(context.WithoutCancel(ctx), tx, association.Query{Cluster: cluster, ID: id, Limit: 1})
	if err != nil {
		return identity.Association{}, err
	}
	if len(found) == 0 {
		return identity.Association{}, association.NotFound(id)
	}
	return found[0], nil
}

// milliseconds since 1970; 0 for no time.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func encodeTags(tags map[string]string) (string, error) {
	if tags == nil {
		return "{}", nil
	}
	text, err := json.Marshal(tags)
	return string(text), err
}

// maxRequests bounds the tokens remembered, over all clusters.
const maxRequests = 100_000

// recall returns the association that the request was about if it came before,
// and "" if it is new.
func recall(tx *sql.Tx, cluster identity.Cluster, once association.Once) (id string, err error) {
	if once.Token == "" {
		return "", nil
	}
	if _, err := tx.Exec(`DELETE FROM request WHERE at < ?`, once.At.Add(-association.OnceLifetime).UnixMilli()); err != nil {
		return "", err
	}
	var digest string
	err = tx.QueryRow(`SELECT association, digest FROM request WHERE cluster = ? AND token = ?`, cluster.ARN(), once.Token).Scan(&id, &digest)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err == nil && digest != once.Digest {
		return "", association.TokenReused()
	}
	return id, err
}

// remember keeps the token of a request that has been done, and lets the
// oldest go.
func remember(tx *sql.Tx, a identity.Association, once association.Once) error {
	if once.Token == "" {
		return nil
	}
	done, err := tx.Exec(`INSERT INTO request (cluster, token, digest, association, at) VALUES (?, ?, ?, ?, ?)`,
		a.Cluster.ARN(), once.Token, once.Digest, a.ID, once.At.UnixMilli())
	if err != nil {
		return err
	}
	seq, err := done.LastInsertId()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM request WHERE seq <= ?`, seq-maxRequests)
	return err
}
