package dev.whence.benchmarks;

import dev.whence.attribution.Attributor;
import dev.whence.conversation.Conversation;
import dev.whence.engine.LocalScorer;
import dev.whence.files.Sha256;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/** Which code measures. */
public final class Build {
  /** One class of each module that figures of attribution depend on. */
  private static final List<Class<?>> MODULES =
      List.of(Build.class, Attributor.class, LocalScorer.class, Conversation.class, Sha256.class);

  private Build() {}

  /**
   * A digest of the classes and resources, in hex, 64 digits: the same for builds of the same
   * sources by the same compiler.
   *
   * @throws IOException if they can not be read
   */
  public static String digest() throws IOException {
    MessageDigest digest = Sha256.begin();
    for (Class<?> of : MODULES) {
      Path root = root(of);
      List<Path> files;
      try (Stream<Path> all = Files.walk(root)) {
        files = all.filter(Files::isRegularFile).sorted().toList();
      }
      for (Path file : files) {
        String name = root.relativize(file) + "\n";
        digest.update(name.getBytes(StandardCharsets.UTF_8));
        Sha256.update(digest, file);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  /** The directory of classes, or the jar. */
  private static Path root(Class<?> of) {
    CodeSource source = of.getProtectionDomain().getCodeSource();
    try {
      return Path.of(source.getLocation().toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(of + " comes from no path", e);
    }
  }
}
