package dev.whence.transfer.merge;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.weights.BoundedFile;
import dev.whence.engine.weights.ContainedPath;
import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.engine.weights.UntrustedJson;
import dev.whence.engine.weights.WeightDigest;
import dev.whence.files.FileProblem;
import dev.whence.files.Sha256;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * A model directory that a transfer reads: its tensors by name, wherever they lie, and its texts.
 * Remembers what its files looked like when they were opened, so that a file that is changed or
 * removed while it is read is noticed.
 */
public final class SourceModel implements AutoCloseable {
  private static final int PIECE = 1 << 20;

  private final Role role;
  private final Path directory;
  private final Optional<String> expectedDigest;
  private final SafetensorsShards shards;
  private final List<InputFile> files = new ArrayList<>();
  private final Map<String, Tensor> tensors = new TreeMap<>();

  /** A shard, and what it looked like when it was opened. */
  record InputFile(
      String name, SafetensorsFile file, long size, FileTime modified, Optional<Object> key) {}

  /** A tensor and the file that it lies in. */
  record Tensor(SafetensorsFile.Entry entry, InputFile input) {
    String name() {
      return entry.name();
    }

    List<Long> shape() {
      return entry.shape();
    }

    String dtype() {
      return entry.dtype();
    }

    /** Fills a buffer from a byte of the tensor on. */
    void read(long offset, ByteBuffer target) {
      try {
        input.file().file().read(entry.begin() + offset, target);
      } catch (EngineException e) {
        throw new TransferException(
            "tensor '" + SafetensorsFile.printable(name()) + "': " + e.getMessage(), e);
      }
      unchanged(entry.begin() + offset);
    }

    /** The same past the page cache: memory's position and limit are then around the bytes. */
    void read(DirectFile direct, long offset, int bytes, ByteBuffer memory) {
      long position = entry.begin() + offset;
      try {
        direct.read(position, bytes, memory);
      } catch (IOException e) {
        throw new TransferException(
            where(position) + "can not be read (" + e.getMessage() + ")", e);
      }
      unchanged(position);
      if (memory.remaining() < bytes) {
        throw new TransferException(where(position) + "the file was cut while it was read");
      }
    }

    private String where(long position) {
      return "tensor '"
          + SafetensorsFile.printable(name())
          + "', byte "
          + position
          + " of "
          + input.file().file().path()
          + ": ";
    }

    /** The disk's file must still be the one that was opened, byte for byte as far as is known. */
    private void unchanged(long position) {
      Path path = input.file().file().path();
      if (path.getFileSystem().isReadOnly()) {
        return; // a bucket is asked for the version that was opened, with every read
      }
      try {
        BasicFileAttributes now = Files.readAttributes(path, BasicFileAttributes.class);
        if (now.size() != input.size()
            || !now.lastModifiedTime().equals(input.modified())
            || !Optional.ofNullable(now.fileKey()).equals(input.key())) {
          throw new TransferException(
              where(position)
                  + "the file was changed while it was read; start again when it is at rest");
        }
      } catch (IOException e) {
        throw new TransferException(
            where(position) + "the file vanished while it was read (" + e + ")", e);
      }
    }
  }

  private static final String SHARD = ".safetensors";

  /** What is read of a header to find its metadata, in bytes. */
  private static final int METADATA = 1 << 12;

  private SourceModel(
      Role role, Path directory, Optional<String> expectedDigest, SafetensorsShards shards) {
    this.role = role;
    this.directory = directory;
    this.expectedDigest = expectedDigest;
    this.shards = shards;
  }

  /**
   * Opens a directory.
   *
   * @param expectedDigest of its release, if it has one: checked when all of it was read
   * @throws EngineException of kind MODEL if files are missing, hostile or contradict each other
   */
  public static SourceModel open(Role role, Path directory, Optional<String> expectedDigest) {
    if (!Directories.isDirectory(directory)) {
      throw new TransferException(
          "the " + role.word() + " model " + directory + " is no directory of safetensors files");
    }
    SourceModel model =
        new SourceModel(role, directory, expectedDigest, SafetensorsShards.open(directory));
    try {
      for (SafetensorsShards.Shard shard : model.shards.shards()) {
        // A result has shards of the same names, beside its texts and its manifest.
        if (!shard.fileName().endsWith(SHARD)) {
          throw new TransferException(
              "the index of "
                  + model
                  + " names a file of weights that does not end with "
                  + SHARD
                  + ": '"
                  + SafetensorsFile.printable(shard.fileName())
                  + "'");
        }
        model.add(shard);
      }
    } catch (TransferException e) {
      model.close();
      throw e;
    } catch (IOException e) {
      model.close();
      throw new TransferException(
          directory + " can not be read: " + FileProblem.of(e, directory), e);
    }
    return model;
  }

  /**
   * Why its tensors are not those of a model: nothing can be added to them, and nothing is their
   * difference.
   */
  List<String> noWeights() {
    List<String> problems = new ArrayList<>();
    if (isDiff()) {
      problems.add(
          role.word()
              + ": "
              + directory
              + " is a stored diff vector and no model: 'whence transfer apply' adds it to one");
    }
    if (!json("config.json").path("whence_ranks").isMissingNode()) {
      // Factors of a product are one of many pairs that give it: their differences mean nothing.
      problems.add(
          role.word()
              + ": "
              + directory
              + " was made by 'whence compress': take the model that it was made of, and compress"
              + " what comes out");
    }
    return problems;
  }

  /** Whether it is a stored diff vector, which has the texts of a model and would pass for one. */
  boolean isDiff() {
    return files.stream().anyMatch(input -> isDiff(input.file().file()));
  }

  /** Metadata is the first thing in a header that was written here; others' says nothing of it. */
  private static boolean isDiff(BoundedFile file) {
    ByteBuffer start =
        ByteBuffer.allocate((int) Math.min(METADATA, Math.max(0, file.size() - Long.BYTES)));
    file.read(Long.BYTES, start);
    Map<String, String> found = new TreeMap<>();
    try (JsonParser json = UntrustedJson.mapper().getFactory().createParser(start.array())) {
      if (json.nextToken() == JsonToken.START_OBJECT
          && "__metadata__".equals(json.nextFieldName())
          && json.nextToken() == JsonToken.START_OBJECT) {
        while (json.nextToken() == JsonToken.FIELD_NAME) {
          String name = json.currentName();
          found.put(name, String.valueOf(json.nextTextValue()));
          json.skipChildren();
        }
      }
    } catch (IOException e) {
      // Longer than what was read, or not valid: the header was checked when it was opened.
    }
    return found.entrySet().containsAll(DirectoryWriter.OF_DIFF.entrySet());
  }

  private void add(SafetensorsShards.Shard shard) throws IOException {
    BasicFileAttributes now =
        Files.readAttributes(shard.file().file().path(), BasicFileAttributes.class);
    InputFile input =
        new InputFile(
            shard.fileName(),
            shard.file(),
            now.size(),
            now.lastModifiedTime(),
            Optional.ofNullable(now.fileKey()));
    files.add(input);
    for (SafetensorsFile.Entry entry : shard.file().entries().values()) {
      tensors.put(entry.name(), new Tensor(entry, input));
    }
  }

  public Role role() {
    return role;
  }

  public Path directory() {
    return directory;
  }

  Optional<String> expectedDigest() {
    return expectedDigest;
  }

  List<InputFile> files() {
    return files;
  }

  boolean indexed() {
    return shards.indexed();
  }

  Map<String, Tensor> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  /** The tensors of a shard in the order of their data. */
  List<Tensor> inOrder(InputFile file) {
    return file.file().entries().values().stream()
        .sorted(
            java.util.Comparator.comparingLong(SafetensorsFile.Entry::begin)
                .thenComparing(SafetensorsFile.Entry::name))
        .map(entry -> new Tensor(entry, file))
        .toList();
  }

  boolean has(String file) {
    return Files.exists(directory.resolve(file), LinkOption.NOFOLLOW_LINKS);
  }

  /** The bytes of a text of the directory or of a folder of it, if there is such a file. */
  Optional<byte[]> text(String file) {
    if (!has(file)) {
      return Optional.empty();
    }
    int slash = file.indexOf('/');
    return Optional.of(
        slash < 0
            ? UntrustedJson.bytes(directory, file)
            : UntrustedJson.bytes(
                ContainedPath.resolve(
                    directory, file.substring(0, slash), file.substring(slash + 1))));
  }

  /** A JSON object of the directory, or a missing node. */
  JsonNode json(String file) {
    Optional<byte[]> bytes = text(file);
    return bytes.isPresent()
        ? UntrustedJson.object(bytes.get(), directory.resolve(file).toString())
        : MissingNode.getInstance();
  }

  /** The texts that are there, of those that a release may have, by name. */
  Map<String, byte[]> texts(List<String> names) {
    Map<String, byte[]> found = new LinkedHashMap<>();
    for (String name : names) {
      text(name).ifPresent(bytes -> found.put(name, bytes));
    }
    return found;
  }

  /**
   * The digest that {@link WeightDigest} defines, by content: two models of the same bytes have the
   * same, whenever their files were written. Cost: reads all tensors once.
   *
   * @throws TransferException if the files change meanwhile
   */
  public String digest() {
    SortedMap<String, WeightDigest.Hashed> hashed = new TreeMap<>();
    ByteBuffer piece = ByteBuffer.allocate(PIECE);
    for (Tensor tensor : tensors.values()) {
      if (SafetensorsShards.isBuffer(tensor.name())) {
        continue;
      }
      MessageDigest one = Sha256.begin();
      long length = tensor.entry().byteLength();
      for (long at = 0; at < length; at += piece.limit()) {
        piece.clear().limit((int) Math.min(PIECE, length - at));
        tensor.read(at, piece);
        one.update(piece.flip());
      }
      hashed.put(
          tensor.name(),
          new WeightDigest.Hashed(
              tensor.dtype(), tensor.shape(), HexFormat.of().formatHex(one.digest())));
    }
    return WeightDigest.ofTextsIn(directory).hex(hashed);
  }

  @Override
  public void close() {
    shards.close();
  }

  @Override
  public String toString() {
    return "the " + role.word() + " model " + Objects.toString(directory.getFileName());
  }
}
