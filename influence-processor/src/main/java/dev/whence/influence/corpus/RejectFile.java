package dev.whence.influence.corpus;

import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.whence.influence.InfluenceException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Lines of a corpus that are no document: JSON Lines with {@code line} and {@code problem}, never
 * their text. Resuming a job forgets what was written after the last saved state.
 */
public final class RejectFile {
  private final Path path;
  private final List<String> pending = new ArrayList<>();
  private long kept;

  /**
   * @param kept lines that are kept of a file that is there
   */
  public RejectFile(Path path, long kept) {
    this.path = path;
    this.kept = kept;
  }

  /** Takes a line down; {@link #save} writes it. */
  public void add(CorpusFile.Rejected rejected) {
    pending.add(
        JsonMapper.builder()
            .build()
            .createObjectNode()
            .put("line", rejected.line())
            .put("problem", rejected.problem())
            .toString());
  }

  /** Writes what came since the last time after the lines that are kept. */
  public void save() {
    try {
      if (kept == 0 && pending.isEmpty()) {
        Files.deleteIfExists(path);
        return;
      }
      try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
        long end = 0;
        long lines = 0;
        for (int read = 0; lines < kept && (read = file.read()) >= 0; end++) {
          lines += read == '\n' ? 1 : 0;
        }
        file.setLength(end);
        file.seek(end);
        for (String line : pending) {
          file.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        }
        file.getFD().sync();
      }
      kept += pending.size();
      pending.clear();
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be written (" + e.getMessage() + "): see that the disk has room.", e);
    }
  }
}
