package dev.whence.samples;

import dev.whence.files.FileTree;
import dev.whence.files.Sha256;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The sample models that ship with Whence, as directories in Hugging Face layout. They lie in the
 * jar, and are unpacked once where they are asked for.
 */
public final class BundledModels {
  /** What answers in the quickstart. */
  public static final String CHAT = "chat-v1";

  /** Scores in its stead. */
  public static final String PROXY = "proxy";

  /** All names. */
  public static final List<String> NAMES =
      List.of("base-v1", CHAT, "base-v2", "proxy-base", PROXY, "neox", "tiny-base", "tiny-chat");

  /** Where models are unpacked, if not in the cache of the user's home. */
  public static final String DIRECTORY_PROPERTY = "whence.models.dir";

  private static final List<String> FILES =
      List.of(
          "config.json",
          "tokenizer.json",
          "tokenizer_config.json",
          "model.safetensors",
          "README.md");

  private BundledModels() {}

  /** Whether a model of that name ships. */
  public static boolean has(String name) {
    return NAMES.contains(name);
  }

  /**
   * The directory of a model, unpacked if it is not there yet. It is named by its content, so that
   * models of several versions of Whence do not mix.
   *
   * @throws IOException if it can not be written; the message says where and what to set
   * @throws IllegalArgumentException if there is no such model
   */
  public static Path unpack(String name) throws IOException {
    if (!has(name)) {
      throw new IllegalArgumentException("no model '" + name + "' ships: there are " + NAMES);
    }
    Map<String, byte[]> files = files(name);
    Path home = home();
    Path named = home.resolve(name + "-" + digest(files));
    Path directory = named.resolve(name);
    if (isWhole(directory, files)) {
      return directory;
    }
    try {
      Files.createDirectories(home);
      Path beside = Files.createTempDirectory(home, ".unpacking-");
      Path model = Files.createDirectory(beside.resolve(name));
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        Files.write(model.resolve(file.getKey()), file.getValue());
      }
      move(beside, named, files, name);
    } catch (IOException e) {
      throw new IOException(
          "the model "
              + name
              + " could not be unpacked under "
              + home
              + " ("
              + e.getMessage()
              + "); set "
              + DIRECTORY_PROPERTY
              + " to a directory that can be written",
          e);
    }
    return directory;
  }

  /** Another process may have been faster; or what is there is damaged, and is replaced. */
  private static void move(Path beside, Path named, Map<String, byte[]> files, String name)
      throws IOException {
    try {
      try {
        Files.move(beside, named, StandardCopyOption.ATOMIC_MOVE);
      } catch (AtomicMoveNotSupportedException e) {
        Files.move(beside, named);
      } catch (FileSystemException e) { // not empty: how that is said depends on the file system
        if (!isWhole(named.resolve(name), files)) {
          FileTree.delete(named);
          Files.move(beside, named);
        }
      }
    } finally {
      FileTree.delete(beside);
    }
  }

  private static boolean isWhole(Path directory, Map<String, byte[]> files) throws IOException {
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      Path path = directory.resolve(file.getKey());
      if (!Files.isRegularFile(path) || Files.size(path) != file.getValue().length) {
        return false;
      }
    }
    return true;
  }

  private static Path home() {
    String wanted = System.getProperty(DIRECTORY_PROPERTY);
    return wanted != null
        ? Path.of(wanted)
        : Path.of(System.getProperty("user.home"), ".cache", "whence", "models");
  }

  private static Map<String, byte[]> files(String name) throws IOException {
    Map<String, byte[]> files = new TreeMap<>();
    for (String file : FILES) {
      try (InputStream in =
          BundledModels.class.getResourceAsStream("models/" + name + "/" + file)) {
        if (in == null) {
          throw new IOException("models/" + name + "/" + file + " is not on the class path");
        }
        files.put(file, in.readAllBytes());
      }
    }
    return files;
  }

  private static String digest(Map<String, byte[]> files) {
    MessageDigest sha256 = Sha256.begin();
    files.forEach(
        (name, bytes) -> {
          sha256.update(name.getBytes(StandardCharsets.UTF_8));
          sha256.update((byte) 0);
          sha256.update(bytes);
        });
    return HexFormat.of().formatHex(sha256.digest(), 0, 8);
  }
}
