#include "master/service/convert.h"

#include "gtest/gtest.h"
#include "reeve/store/v1/store.pb.h"

namespace reeve {
namespace {

JobView ViewOf(const store::v1::JobRecord& record) {
  JobView view;
  view.job = JobId(12);
  view.record = Buffer(record.SerializeAsString());
  return view;
}

TEST(ConvertTest, ADependencyOnAJobOfTheSameRequestIsShownByItsId) {
  store::v1::JobRecord record;
  record.set_place(3);
  record.mutable_spec()->add_after()->set_position(1);
  record.mutable_spec()->add_after()->set_job_id(7);
  v1::Dependency* const last = record.mutable_spec()->add_after();
  last->set_position(2);
  last->set_condition(v1::Dependency::ON_END);
  v1::Job job;
  ToProto(ViewOf(record), &job);
  ASSERT_EQ(job.spec().after_size(), 3);
  EXPECT_EQ(job.spec().after(0).job_id(), 10u);
  EXPECT_EQ(job.spec().after(1).job_id(), 7u);
  EXPECT_EQ(job.spec().after(2).job_id(), 11u);
  EXPECT_EQ(job.spec().after(2).condition(), v1::Dependency::ON_END);
  for (const v1::Dependency& after : job.spec().after()) EXPECT_EQ(after.position(), 0u);
}

}  // namespace
}  // namespace reeve
