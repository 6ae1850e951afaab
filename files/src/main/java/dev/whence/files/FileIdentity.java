package dev.whence.files;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import org.jspecify.annotations.Nullable;

/**
 * What differs where another file has the name, or the content was changed.
 *
 * @param key device and inode, where the file system has them
 */
public record FileIdentity(long bytes, FileTime modified, @Nullable Object key) {
  /**
   * That of a file now.
   *
   * @throws IOException if it can not be told
   */
  public static FileIdentity of(Path file) throws IOException {
    BasicFileAttributes now = Files.readAttributes(file, BasicFileAttributes.class);
    return new FileIdentity(now.size(), now.lastModifiedTime(), now.fileKey());
  }

  /**
   * Opens a file that has it, for reading.
   *
   * @throws IOException if it is another's by now
   */
  public FileChannel open(Path file) throws IOException {
    FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
    try {
      if (of(file).equals(this)) { // whoever replaces it now does not change what is open
        return channel;
      }
    } catch (IOException e) {
      channel.close();
      throw e;
    }
    channel.close();
    throw new IOException("the file is not what it was when it was opened");
  }
}
