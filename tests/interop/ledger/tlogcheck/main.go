// Command tlogcheck reads and writes C2SP tlog-tiles logs with golang.org/x/mod's tlog and note packages, so that
// another implementation than ours says whether a log is one.
//
//	tlogcheck check DIR VKEY INDEX,...   the checkpoint's signature; inclusion of these entries; consistency with
//	                                     DIR/checkpoint.old where there is one
//	tlogcheck write DIR ORIGIN N         a log of N entries, signed with a new key; prints its vkey
//
// x/mod knows the older layout of the Go checksum database: paths and the checkpoint's text are mapped here.
//
// Debian's x/mod 0.7 has CVE-2026-56865: TileHashReader may return hashes of full tiles that it did not verify. What
// counts here is therefore that CheckRecord and CheckTree lead from the entry's own bytes to the signed root.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8
const width = 1 << height

// path maps tile/8/<L>/<N>[.p/<W>] to tile/<L>/<N>[.p/<W>], and level -1 (data) to tile/entries/<N>[.p/<W>].
func path(tile tlog.Tile) string {
	rest := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	if tile.L == -1 {
		rest = "entries" + strings.TrimPrefix(rest, "data")
	}
	return "tile/" + rest
}

// tiles reads tiles below a directory.
type tiles struct{ dir string }

func (t tiles) Height() int                         { return height }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	read := make([][]byte, len(wanted))
	for i, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(t.dir, path(tile)))
		if err != nil {
			return nil, err
		}
		read[i] = data
	}
	return read, nil
}

// entry reads one entry out of its bundle.
func (t tiles) entry(index, size int64) ([]byte, error) {
	bundle := tlog.Tile{H: height, L: -1, N: index / width, W: width}
	if left := size - bundle.N*width; left < width {
		bundle.W = int(left)
	}
	data, err := os.ReadFile(filepath.Join(t.dir, path(bundle)))
	if err != nil {
		return nil, err
	}
	var found []byte
	count := 0
	for ; len(data) > 0; count++ {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("%s is cut off", path(bundle))
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		if count == int(index%width) {
			found = data[2:end]
		}
		data = data[end:]
	}
	if count != bundle.W {
		return nil, fmt.Errorf("%s holds %d entries", path(bundle), count)
	}
	return found, nil
}

// open verifies a checkpoint's signature and parses its text.
func open(name, vkey string) (tlog.Tree, error) {
	var tree tlog.Tree
	data, err := os.ReadFile(name)
	if err != nil {
		return tree, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tree, err
	}
	signed, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("%s: not a checkpoint of %s: %q", name, verifier.Name(), signed.Text)
	}
	tree.N, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || tree.N < 0 || strconv.FormatInt(tree.N, 10) != lines[1] {
		return tree, fmt.Errorf("%s: size %q", name, lines[1])
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

func check(dir, vkey string, indexes []string) error {
	tree, err := open(filepath.Join(dir, "checkpoint"), vkey)
	if err != nil {
		return err
	}
	files := tiles{dir}
	reader := tlog.TileHashReader(tree, files)
	for _, text := range indexes {
		index, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		entry, err := files.entry(index, tree.N)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("entry %d: %v", index, err)
		}
	}
	fmt.Printf("size %d: %d entries included\n", tree.N, len(indexes))

	older := filepath.Join(dir, "checkpoint.old")
	if _, err := os.Stat(older); os.IsNotExist(err) {
		return nil
	}
	old, err := open(older, vkey)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, old.N, reader)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("consistency with size %d: %v", old.N, err)
	}
	fmt.Printf("consistent with size %d\n", old.N)
	return nil
}

// save writes a file and the folders above it.
func save(dir, name string, data []byte) error {
	full := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	return os.WriteFile(full, data, 0o644)
}

func write(dir, origin string, size int64) error {
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return err
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	var bundle bytes.Buffer
	for n := int64(0); n < size; n++ {
		entry := []byte(fmt.Sprintf(
			`{"body":{"n":%d},"time":"2026-11-01T09:30:00.123Z","type":"strongroom.test/1","writer":"go"}`, n))
		hashes, err := tlog.StoredHashes(n, entry, reader)
		if err != nil {
			return err
		}
		stored = append(stored, hashes...)
		binary.Write(&bundle, binary.BigEndian, uint16(len(entry)))
		bundle.Write(entry)
		if (n+1)%width == 0 || n+1 == size {
			tile := tlog.Tile{H: height, L: -1, N: n / width, W: int(n%width) + 1}
			if err := save(dir, path(tile), bundle.Bytes()); err != nil {
				return err
			}
			bundle.Reset()
		}
	}
	for level := 0; size>>(height*level) > 0; level++ {
		count := size >> (height * level)
		for n := int64(0); n*width < count; n++ {
			tile := tlog.Tile{H: height, L: level, N: n, W: width}
			if left := count - n*width; left < width {
				tile.W = int(left)
			}
			data, err := tlog.ReadTileData(tile, reader)
			if err != nil {
				return err
			}
			if err := save(dir, path(tile), data); err != nil {
				return err
			}
		}
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return err
	}
	fmt.Println(vkey)
	return save(dir, "checkpoint", signed)
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("tlogcheck: ")
	if len(os.Args) != 5 {
		log.Fatal("usage: tlogcheck check DIR VKEY INDEX,... | tlogcheck write DIR ORIGIN N")
	}
	var err error
	switch dir := os.Args[2]; os.Args[1] {
	case "check":
		err = check(dir, os.Args[3], strings.FieldsFunc(os.Args[4], func(r rune) bool { return r == ',' }))
	case "write":
		var size int64
		if size, err = strconv.ParseInt(os.Args[4], 10, 64); err == nil {
			err = write(dir, os.Args[3], size)
		}
	default:
		err = fmt.Errorf("no command %q", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}
