package dev.whence.influence.corpus;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.files.FileProblem;
import dev.whence.files.OwnFile;
import dev.whence.influence.InfluenceException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;

/**
 * What of a topic becomes a corpus file, and how far that is.
 *
 * @param topicId of the topic, which one made anew under the same name does not have
 * @param ranges of offsets, by partition, ascending
 * @param partition that is read
 * @param next offset of it
 * @param bytes of the file so far
 * @param documents lines of it
 * @param rejected records that are none
 */
record TopicPlan(
    String topic,
    String topicId,
    List<Range> ranges,
    int partition,
    long next,
    long bytes,
    long documents,
    long rejected) {
  TopicPlan {
    ranges = List.copyOf(ranges);
    int last = -1;
    for (Range range : ranges) {
      if (range.partition() <= last) {
        throw new IllegalArgumentException("partitions do not ascend");
      }
      last = range.partition();
    }
    if (partition < 0 || next < 0 || bytes < 0 || documents < 0 || rejected < 0) {
      throw new IllegalArgumentException("there are negative numbers");
    }
  }

  /** Offsets of a partition, without {@code end}. */
  record Range(int partition, long begin, long end) {
    Range {
      if (begin < 0 || end < begin) {
        throw new IllegalArgumentException("from offset " + begin + " to " + end);
      }
    }
  }

  static TopicPlan begin(String topic, String topicId, List<Range> ranges) {
    return new TopicPlan(topic, topicId, ranges, 0, 0, 0, 0, 0);
  }

  TopicPlan at(int otherPartition, long otherNext) {
    return new TopicPlan(
        topic, topicId, ranges, otherPartition, otherNext, bytes, documents, rejected);
  }

  TopicPlan withDocument(int length) {
    return new TopicPlan(
        topic, topicId, ranges, partition, next, bytes + length, documents + 1, rejected);
  }

  TopicPlan withRejected() {
    return new TopicPlan(topic, topicId, ranges, partition, next, bytes, documents, rejected + 1);
  }

  /** Where reading goes on in a partition: not before its begin. */
  long nextOf(Range range) {
    return range.partition() == partition ? next : range.begin();
  }

  /** How many offsets there are. */
  long all() {
    return ranges.stream().mapToLong(range -> range.end() - range.begin()).sum();
  }

  /** Whether all of them are. */
  boolean isDone() {
    return done() == all();
  }

  /** How many of them are done. */
  long done() {
    return ranges.stream()
        .mapToLong(
            range ->
                range.partition() < partition
                    ? range.end() - range.begin()
                    : range.partition() == partition ? Math.max(0, next - range.begin()) : 0)
        .sum();
  }

  /** Replaces the file, so that it is there whole or as it was. */
  void write(Path path) throws IOException {
    ObjectNode json =
        JsonMapper.builder()
            .build()
            .createObjectNode()
            .put("topic", topic)
            .put("topicId", topicId)
            .put("partition", partition)
            .put("next", next)
            .put("bytes", bytes)
            .put("documents", documents)
            .put("rejected", rejected);
    ArrayNode all = json.putArray("ranges");
    for (Range range : ranges) {
      all.addObject()
          .put("partition", range.partition())
          .put("begin", range.begin())
          .put("end", range.end());
    }
    Path beside = path.resolveSibling(path.getFileName() + ".new");
    try (FileChannel channel = OwnFile.begin(beside)) {
      ByteBuffer bytesOfIt = StandardCharsets.UTF_8.encode(json.toPrettyString());
      while (bytesOfIt.hasRemaining()) {
        channel.write(bytesOfIt);
      }
      channel.force(true);
    }
    Files.move(beside, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /**
   * Reads it.
   *
   * @throws InfluenceException if it is no such file
   */
  static TopicPlan read(Path path) {
    try {
      JsonNode json = JsonMapper.builder().build().readTree(Files.readString(path));
      List<Range> ranges = new ArrayList<>();
      for (JsonNode range : json.withArray("ranges")) {
        ranges.add(
            new Range(
                Math.toIntExact(number(range, "partition")),
                number(range, "begin"),
                number(range, "end")));
      }
      return new TopicPlan(
          text(json, "topic"),
          text(json, "topicId"),
          ranges,
          Math.toIntExact(number(json, "partition")),
          number(json, "next"),
          number(json, "bytes"),
          number(json, "documents"),
          number(json, "rejected"));
    } catch (JacksonException
        | IllegalArgumentException
        | ArithmeticException
        | UnsupportedOperationException e) {
      throw new InfluenceException(
          path + " is no plan of a corpus. Remove it: the topic is then read from its beginning.",
          e);
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be read (" + FileProblem.of(e, path) + ").", e);
    }
  }

  private static long number(JsonNode json, String name) {
    JsonNode value = json.required(name);
    if (!value.isIntegralNumber() || !value.canConvertToLong()) {
      throw new IllegalArgumentException(name + " is no whole number");
    }
    return value.longValue();
  }

  private static String text(JsonNode json, String name) {
    JsonNode value = json.required(name);
    if (!value.isTextual()) {
      throw new IllegalArgumentException(name + " is no text");
    }
    return value.textValue();
  }
}
