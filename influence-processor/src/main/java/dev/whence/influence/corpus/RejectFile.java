package dev.whence.influence.corpus;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.files.FileProblem;
import dev.whence.files.OwnFile;
import dev.whence.influence.InfluenceException;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Lines of a corpus that are no document: JSON Lines with {@code line} (of records of a topic
 * {@code partition} and {@code offset}) and {@code problem}, never their text. Resuming a job
 * forgets what was written after the last saved state, so that a file may be ahead of it.
 */
public final class RejectFile {
  /** Entries in memory at most: a file may have nothing but such lines. */
  static final int MOST_PENDING = 10_000;

  private final Path path;
  private final List<String> pending = new ArrayList<>();
  private long kept;

  /** Of the lines that are kept, in bytes; negative: not known yet. */
  private long end = -1;

  /**
   * @param kept lines that are kept of a file that is there
   */
  public RejectFile(Path path, long kept) {
    this.path = path;
    this.kept = kept;
  }

  /** Takes a line down; {@link #save} writes it, or the file itself where there are many. */
  public void add(CorpusFile.Rejected rejected) {
    add(entry().put("line", rejected.line()), rejected.problem());
  }

  /** Takes a record of a topic down. */
  void add(int partition, long offset, String problem) {
    add(entry().put("partition", partition).put("offset", offset), problem);
  }

  private static ObjectNode entry() {
    return JsonMapper.builder().build().createObjectNode();
  }

  private void add(ObjectNode entry, String problem) {
    pending.add(entry.put("problem", problem).toString());
    if (pending.size() >= MOST_PENDING) {
      save();
    }
  }

  /** Writes what came since the last time after the lines that are kept. */
  public void save() {
    try {
      if (kept == 0 && pending.isEmpty()) {
        Files.deleteIfExists(path);
        return;
      }
      try (FileChannel file =
          OwnFile.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
        if (end < 0) {
          end = endOfKept();
        }
        file.truncate(end).position(end);
        // Not closed: the file is, by itself.
        OutputStream out = new BufferedOutputStream(Channels.newOutputStream(file));
        for (String line : pending) {
          out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        }
        out.flush();
        end = file.position();
        file.force(true);
      }
      kept += pending.size();
      pending.clear();
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be written " + FileProblem.unwritten(e, path) + ".", e);
    }
  }

  private long endOfKept() throws IOException {
    long position = 0;
    long lines = 0;
    try (InputStream in = new BufferedInputStream(Files.newInputStream(path))) {
      for (int read = 0; lines < kept && (read = in.read()) >= 0; position++) {
        lines += read == '\n' ? 1 : 0;
      }
    }
    if (lines < kept) {
      throw new InfluenceException(
          path
              + " has "
              + lines
              + " lines, but "
              + kept
              + " were written: give it back, or begin anew with another output.");
    }
    return position;
  }
}
