BEGIN TRANSACTION;
CREATE TABLE absences (
	subject TEXT NOT NULL, 
	first_missing_at VARCHAR(20) NOT NULL, 
	last_missing_at VARCHAR(20) NOT NULL, 
	passes INTEGER NOT NULL, 
	CONSTRAINT pk_absences PRIMARY KEY (subject)
)
 WITHOUT ROWID

;
INSERT INTO "absences" VALUES('umbrella/nowhere','2026-11-21T17:35:23Z','2026-11-21T17:35:24Z',2);
INSERT INTO "absences" VALUES('umbrella/one:0.9','2026-11-21T17:35:25Z','2026-11-21T17:35:25Z',2);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE budgets (
	budget TEXT NOT NULL, 
	route TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	limit_count BIGINT NOT NULL, 
	cap BIGINT NOT NULL, 
	window_s FLOAT NOT NULL, 
	window_ends_at FLOAT NOT NULL, 
	spent BIGINT NOT NULL, 
	remaining BIGINT, 
	next_at FLOAT NOT NULL, 
	not_before FLOAT NOT NULL, 
	closed_reason TEXT, 
	refusals INTEGER NOT NULL, 
	source TEXT NOT NULL, 
	seen_at FLOAT NOT NULL, answered BIGINT DEFAULT '0' NOT NULL, counted BIGINT DEFAULT '0' NOT NULL, others FLOAT DEFAULT '0' NOT NULL, others_jump FLOAT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_budgets PRIMARY KEY (budget, route, identity)
);
INSERT INTO "budgets" VALUES('hub','direct','anonymous',100000,98000,60.0,1.7952825855948531628e+09,331,99978,1.79528252468012428284e+09,0.0,NULL,0,'header',1.79528252564288663866e+09,250,22,0.0,0.0);
INSERT INTO "budgets" VALUES('search','direct','anonymous',150,150,60.0,0.0,0,NULL,0.0,0.0,NULL,0,'configuration',1.79528252386576128002e+09,0,0,0.0,0.0);
INSERT INTO "budgets" VALUES('registry','direct','anonymous',180,180,60.0,1.79528258512196612359e+09,3,NULL,1.79528251978863263131e+09,0.0,NULL,0,'configuration',1.795282525125254631e+09,0,0,0.0,0.0);
INSERT INTO "budgets" VALUES('tokens','direct','anonymous',60,60,60.0,1.79528258511781382564e+09,1,NULL,1.79528250711781382558e+09,0.0,NULL,0,'configuration',1.79528252511781382565e+09,0,0,0.0,0.0);
INSERT INTO "budgets" VALUES('logins','direct','anonymous',6,6,60.0,0.0,0,NULL,0.0,0.0,NULL,0,'configuration',1.79528252386576128002e+09,0,0,0.0,0.0);
INSERT INTO "budgets" VALUES('pulls','direct','anonymous',0,0,3600.0,0.0,0,NULL,0.0,0.0,NULL,0,'configuration',1.79528252386576128002e+09,0,0,0.0,0.0);
CREATE TABLE cadences (
	repository_id INTEGER NOT NULL, 
	watch_id INTEGER NOT NULL, 
	interval_s INTEGER NOT NULL, 
	checks FLOAT NOT NULL, 
	changes FLOAT NOT NULL, 
	observed_s FLOAT NOT NULL, 
	checked_at VARCHAR(20), 
	seen_updated VARCHAR(20), 
	CONSTRAINT pk_cadences PRIMARY KEY (repository_id), 
	CONSTRAINT fk_cadences_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id), 
	CONSTRAINT fk_cadences_watch_id FOREIGN KEY(watch_id) REFERENCES watches (id)
)
 WITHOUT ROWID

;
CREATE TABLE chapters (
	repository_id INTEGER NOT NULL, 
	chapter INTEGER NOT NULL, 
	first_seen_at VARCHAR(20) NOT NULL, 
	last_seen_at VARCHAR(20) NOT NULL, 
	ended_at VARCHAR(20) NOT NULL, 
	date_registered VARCHAR(20), 
	hub_user TEXT, 
	description TEXT, 
	pull_count BIGINT, 
	star_count BIGINT, 
	tag_count BIGINT NOT NULL, 
	CONSTRAINT pk_chapters PRIMARY KEY (repository_id, chapter), 
	CONSTRAINT fk_chapters_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id)
)
 WITHOUT ROWID

;
CREATE TABLE deliveries (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	notifier TEXT NOT NULL, 
	event_id INTEGER NOT NULL, 
	subject TEXT NOT NULL, 
	state TEXT NOT NULL, 
	attempt INTEGER DEFAULT '0' NOT NULL, 
	run_at VARCHAR(20) NOT NULL, 
	last_error TEXT, 
	finished_at VARCHAR(20), 
	CONSTRAINT ck_deliveries_state CHECK (state IN ('waiting', 'done', 'dead')), 
	CONSTRAINT ck_deliveries_finished CHECK ((state = 'waiting') = (finished_at IS NULL)), 
	CONSTRAINT fk_deliveries_event_id FOREIGN KEY(event_id) REFERENCES events (id)
);
CREATE TABLE events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	happened_at VARCHAR(20), 
	observed_at VARCHAR(20) NOT NULL, 
	kind TEXT NOT NULL, 
	repository_id INTEGER, 
	tag_id INTEGER, 
	detail TEXT NOT NULL, rank SMALLINT DEFAULT '3' NOT NULL, 
	CONSTRAINT fk_events_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id), 
	CONSTRAINT fk_events_tag_id FOREIGN KEY(tag_id) REFERENCES tags (id)
);
INSERT INTO "events" VALUES(1,'2015-05-19T21:13:35Z','2026-11-21T17:35:24Z','repository.new',6,NULL,'{"list": "namespace", "subject": "umbrella", "not_there_at": "2026-11-21T17:35:23Z", "date_registered": "2015-05-19T21:13:35Z", "pull_count": 0}',3);
INSERT INTO "events" VALUES(2,NULL,'2026-11-21T17:35:25Z','tag.gone',1,4,'{"digest_before": "sha256:d56b63228aee5a58826706af9308d56c01f82b818ee93696a767ac54fb82ef74", "last_updater_before": "umbrella", "last_seen_before": "2026-11-21T17:35:23Z"}',2);
INSERT INTO "events" VALUES(3,'2026-06-01T03:06:00Z','2026-11-21T17:35:25Z','tag.moved',1,5,'{"digest_before": "sha256:17e258e26f898feaed42c2f89afa2f1eefa1c3d39329a35ac3450b4188f157ec", "digest": "sha256:2e2ec4f7b8d11fdf8eb0822fd75030cf910e9aa90b18468832f20458c40510e1", "last_updater_before": "umbrella", "last_updater": "umbrella", "pushed_at": "2026-06-01T03:06:00Z", "last_seen_before": "2026-11-21T17:35:23Z"}',3);
INSERT INTO "events" VALUES(4,'2026-06-01T03:05:00Z','2026-11-21T17:35:25Z','tag.moved',1,6,'{"digest_before": "sha256:0e88da415b2cf02a4924d4a8f5c576a18f83b202a8c3ab68cb7cb48f921e83df", "digest": "sha256:f49980f1995ffb492c9097a12b32d076030dfdad91f38cda1c6f28e6ac184922", "last_updater_before": "umbrella", "last_updater": "umbrella", "pushed_at": "2026-06-01T03:05:00Z", "last_seen_before": "2026-11-21T17:35:23Z"}',3);
CREATE TABLE harvested_digests (
	digest TEXT NOT NULL, 
	harvested_at VARCHAR(20) NOT NULL, 
	CONSTRAINT pk_harvested_digests PRIMARY KEY (digest)
)
 WITHOUT ROWID

;
INSERT INTO "harvested_digests" VALUES('sha256:0e88da415b2cf02a4924d4a8f5c576a18f83b202a8c3ab68cb7cb48f921e83df','2026-11-21T17:35:23Z');
INSERT INTO "harvested_digests" VALUES('sha256:608bf9064eb3754f023da2fecda7d8b27cdee21539e2842ce1b4f52bf9a82938','2026-11-21T17:35:23Z');
INSERT INTO "harvested_digests" VALUES('sha256:a7bb58c4999ef83300770ccc0153d59fb5eb92c6863e96b01ff6c769ec36d988','2026-11-21T17:35:23Z');
INSERT INTO "harvested_digests" VALUES('sha256:f49980f1995ffb492c9097a12b32d076030dfdad91f38cda1c6f28e6ac184922','2026-11-21T17:35:25Z');
CREATE TABLE image_layers (
	image_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	layer_id INTEGER, 
	instruction_id INTEGER, 
	CONSTRAINT pk_image_layers PRIMARY KEY (image_id, step), 
	CONSTRAINT fk_image_layers_image_id FOREIGN KEY(image_id) REFERENCES images (id), 
	CONSTRAINT fk_image_layers_instruction_id FOREIGN KEY(instruction_id) REFERENCES instructions (id), 
	CONSTRAINT fk_image_layers_layer_id FOREIGN KEY(layer_id) REFERENCES layers (id)
)
 WITHOUT ROWID

;
INSERT INTO "image_layers" VALUES(1,0,NULL,1);
INSERT INTO "image_layers" VALUES(1,1,1,2);
INSERT INTO "image_layers" VALUES(1,2,2,3);
INSERT INTO "image_layers" VALUES(1,3,NULL,4);
INSERT INTO "image_layers" VALUES(2,0,3,NULL);
INSERT INTO "image_layers" VALUES(2,1,4,NULL);
INSERT INTO "image_layers" VALUES(3,0,5,5);
INSERT INTO "image_layers" VALUES(3,1,NULL,1);
INSERT INTO "image_layers" VALUES(3,2,6,2);
INSERT INTO "image_layers" VALUES(3,3,7,3);
INSERT INTO "image_layers" VALUES(3,4,NULL,4);
INSERT INTO "image_layers" VALUES(6,0,8,6);
INSERT INTO "image_layers" VALUES(6,1,NULL,7);
INSERT INTO "image_layers" VALUES(6,2,NULL,1);
INSERT INTO "image_layers" VALUES(6,3,9,2);
INSERT INTO "image_layers" VALUES(6,4,10,3);
INSERT INTO "image_layers" VALUES(6,5,NULL,4);
INSERT INTO "image_layers" VALUES(10,0,8,6);
INSERT INTO "image_layers" VALUES(10,1,NULL,7);
INSERT INTO "image_layers" VALUES(10,2,NULL,1);
INSERT INTO "image_layers" VALUES(10,3,9,2);
INSERT INTO "image_layers" VALUES(10,4,13,3);
INSERT INTO "image_layers" VALUES(10,5,NULL,4);
INSERT INTO "image_layers" VALUES(11,0,14,NULL);
INSERT INTO "image_layers" VALUES(11,1,15,NULL);
INSERT INTO "image_layers" VALUES(12,0,16,18);
INSERT INTO "image_layers" VALUES(12,1,NULL,7);
INSERT INTO "image_layers" VALUES(12,2,NULL,1);
INSERT INTO "image_layers" VALUES(12,3,17,2);
INSERT INTO "image_layers" VALUES(12,4,18,3);
INSERT INTO "image_layers" VALUES(12,5,NULL,4);
INSERT INTO "image_layers" VALUES(13,0,19,NULL);
INSERT INTO "image_layers" VALUES(13,1,20,NULL);
INSERT INTO "image_layers" VALUES(14,0,21,19);
INSERT INTO "image_layers" VALUES(14,1,NULL,7);
INSERT INTO "image_layers" VALUES(14,2,NULL,1);
INSERT INTO "image_layers" VALUES(14,3,22,2);
INSERT INTO "image_layers" VALUES(14,4,23,3);
INSERT INTO "image_layers" VALUES(14,5,NULL,4);
INSERT INTO "image_layers" VALUES(15,0,24,NULL);
INSERT INTO "image_layers" VALUES(15,1,25,NULL);
INSERT INTO "image_layers" VALUES(50,0,8,6);
INSERT INTO "image_layers" VALUES(50,1,NULL,7);
INSERT INTO "image_layers" VALUES(50,2,NULL,1);
INSERT INTO "image_layers" VALUES(50,3,9,2);
INSERT INTO "image_layers" VALUES(50,4,28,3);
INSERT INTO "image_layers" VALUES(50,5,NULL,4);
CREATE TABLE images (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	digest TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	os TEXT, 
	architecture TEXT, 
	variant TEXT, 
	os_version TEXT, 
	size BIGINT, 
	media_type TEXT, 
	config_digest TEXT, 
	created_at VARCHAR(20), 
	layers_from TEXT, 
	CONSTRAINT ck_images_kind CHECK (kind IN ('image', 'attestation', 'artifact')), 
	CONSTRAINT uq_images_digest UNIQUE (digest)
);
INSERT INTO "images" VALUES(1,'sha256:629f01f994fdc94281985a97dc876fc09ca80fa5e0a5c7e78b078b78ed68e93b','image','linux','amd64',NULL,NULL,74138909,NULL,NULL,NULL,'hub');
INSERT INTO "images" VALUES(2,'sha256:e4cd7ca202d7f5f398a85ffb9a1fb52cda084635ec9cd90a2368f6aae68a741e','attestation','unknown','unknown',NULL,NULL,591,NULL,NULL,NULL,'hub');
INSERT INTO "images" VALUES(3,'sha256:9ff6a95066c160d9f4fc6b36ee9b1bc11e098078991d5f8715552f441e106484','image','windows','amd64',NULL,'10.0.20348.2340',152122245,NULL,NULL,NULL,'hub');
INSERT INTO "images" VALUES(4,'sha256:d56b63228aee5a58826706af9308d56c01f82b818ee93696a767ac54fb82ef74','image','linux','amd64',NULL,NULL,52209640,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(5,'sha256:17e258e26f898feaed42c2f89afa2f1eefa1c3d39329a35ac3450b4188f157ec','image','linux','amd64',NULL,NULL,45393168,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(6,'sha256:0e88da415b2cf02a4924d4a8f5c576a18f83b202a8c3ab68cb7cb48f921e83df','image','linux','amd64',NULL,NULL,54038204,NULL,NULL,NULL,'hub');
INSERT INTO "images" VALUES(10,'sha256:b02d48a3eeadef0d3060070d0c687b24055cf3d2137a5012a6baefb59efcc0e0','image','linux','amd64',NULL,NULL,66059626,NULL,NULL,NULL,'hub');
INSERT INTO "images" VALUES(11,'sha256:b928c4724c2c19733e98a9372f1c8bfbd37092b4314527e65bffa5739a1a94c8','attestation','unknown','unknown',NULL,NULL,593,NULL,NULL,NULL,'hub');
INSERT INTO "images" VALUES(12,'sha256:9436666fe9ac9ae4cddfb3c9928cc55b4b7ee866d46e121141f133ff6210a012','image','linux','arm64','v8',NULL,79805712,NULL,NULL,NULL,'hub');
INSERT INTO "images" VALUES(13,'sha256:9ed979b71462d4eef2ffbb0db4d01deffaea3d1764232d43ed8713e50017da19','attestation','unknown','unknown',NULL,NULL,593,NULL,NULL,NULL,'hub');
INSERT INTO "images" VALUES(14,'sha256:f262aadfeace02373c1df2e68ebf67cf4a55b29301860456e3ef82941de01ca4','image','linux','arm','v7',NULL,40202530,NULL,NULL,NULL,'hub');
INSERT INTO "images" VALUES(15,'sha256:8cf72d6cdae33257ed6cd859f60612520054aa1f1d828cf1dd87f799c9af98dd','attestation','unknown','unknown',NULL,NULL,593,NULL,NULL,NULL,'hub');
INSERT INTO "images" VALUES(16,'sha256:434cec4ebfc2f0440984285df2b5cb25cbd9ccebf6d5da0c3e78b799e95f9361','image','linux','amd64',NULL,NULL,42381516,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(17,'sha256:6eac4de184efd707fab28bb6f27f0c9e3354af30cd1c0feb7c32b924e3d601f9','attestation','unknown','unknown',NULL,NULL,593,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(18,'sha256:70eb668f276903703b5a8847bd28c94503b97e71ceb8a6b695055575042924f2','image','linux','arm64','v8',NULL,76722568,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(19,'sha256:1e0beeafb171bd975f160fa60cdbc02db51c2296bd6317a1ba561965a62b6bff','attestation','unknown','unknown',NULL,NULL,593,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(20,'sha256:471fa79d3acb118b71c4eeec97ed0ccd78b821b9c98fd6a76f2091fa5d100fbf','image','linux','arm','v7',NULL,26386926,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(21,'sha256:7ee325751a3361c53623bf674accb406c5a4caf64bcb5f9e5b3c7e14fcdefe5a','attestation','unknown','unknown',NULL,NULL,593,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(22,'sha256:bdcd3ea093d63031a639ead0085f2387469815e2a8b94abb4368618903cf35b4','image','linux','amd64',NULL,NULL,68147157,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(23,'sha256:6fd4df71143dcc70d78f8db88984d22e5d53eb23670bd176b87286feccebf869','attestation','unknown','unknown',NULL,NULL,603,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(24,'sha256:79ce45b5c70ac8e84d40a3c59bda82499fd877f585107fbbf7c186628fbfcae3','image','linux','arm64','v8',NULL,28042906,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(25,'sha256:a3feed098861a62709fc2ccf75d90c0590f897420219bda742044ff11c29ebfc','attestation','unknown','unknown',NULL,NULL,603,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(26,'sha256:bc25cba930e47a5b2b22278e77c1162889d5eb92c1403d0507caca681b6c51ce','image','linux','arm','v7',NULL,93211984,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(27,'sha256:0645ef863e8a80ad3ba9f71902f9009bf0a9682a73c9dd6f27567dcdc51b06e0','attestation','unknown','unknown',NULL,NULL,603,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(28,'sha256:5ea9e75bcaccc2b93903ac15475c4952c8c7099820a39219305913d38d6f785d','image','linux','amd64',NULL,NULL,53584334,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(29,'sha256:625d75f73a5927be7cf26d3748e2744a9c4d5021a13ee13c51c5a76dd828e7c7','attestation','unknown','unknown',NULL,NULL,589,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(30,'sha256:eb959e8bdaf8f1c867075e467bf2e21cc06b13a631cad75503642a1cae15991a','image','linux','arm64','v8',NULL,82243394,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(31,'sha256:6f538bc48d7bcec30ae75e33355f3a802674bf1b6d2806f9522c6c8ecf0198f9','attestation','unknown','unknown',NULL,NULL,589,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(32,'sha256:afc3fee27486862fba77b9ae6c86f8b3428d0bed2a22dfdc69b99f0016472825','image','linux','arm','v7',NULL,40632170,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(33,'sha256:8312ff130c11ee044e8631b6703427efcf6dee607b4ca79428eae7288a4d5fd4','attestation','unknown','unknown',NULL,NULL,589,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(34,'sha256:d3a53187ee260f5d8d9086d079b96b38c6b0eb3887fe53ae7c194ca85a8d1e19','image','linux','amd64',NULL,NULL,35676660,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(35,'sha256:2171194f4b423e38918991813a07d17054b1a2580459d44672c6ad5fa38d2be0','attestation','unknown','unknown',NULL,NULL,589,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(36,'sha256:65ca81b3837c4a76d20a29cd35f0cc4a842a3afdaa2db4570c602bd0b951e22f','image','linux','arm64','v8',NULL,89836149,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(37,'sha256:a34730a5dcd46068b897a0ce719c7d16a75d9f3b9a7eb1195adc36fe66f64fb0','attestation','unknown','unknown',NULL,NULL,589,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(38,'sha256:6233c95ddee50292b4374b54cc8766b4ce17cce249ce22463044e08782a887ce','image','linux','arm','v7',NULL,47056674,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(39,'sha256:a4020c570a18e612f54d9fbd9a2c1aef51c32f738a198266291468a8e1c4b720','attestation','unknown','unknown',NULL,NULL,589,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(47,'sha256:fa9c400a22d495c033594230b641c8d8b45d98b39e8ec662772c980fb05571e9','image','linux','amd64',NULL,NULL,62105626,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(48,'sha256:80020b027b5342c9f6f4e8e16a70f7f785c6d14a14c53a67a0fa211555514bbe','image','linux','amd64',NULL,NULL,62036925,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(49,'sha256:2e2ec4f7b8d11fdf8eb0822fd75030cf910e9aa90b18468832f20458c40510e1','image','linux','amd64',NULL,NULL,45623198,NULL,NULL,NULL,NULL);
INSERT INTO "images" VALUES(50,'sha256:f49980f1995ffb492c9097a12b32d076030dfdad91f38cda1c6f28e6ac184922','image','linux','amd64',NULL,NULL,44030886,NULL,NULL,NULL,'hub');
CREATE TABLE index_images (
	index_id INTEGER NOT NULL, 
	image_id INTEGER NOT NULL, 
	CONSTRAINT pk_index_images PRIMARY KEY (index_id, image_id), 
	CONSTRAINT fk_index_images_index_id FOREIGN KEY(index_id) REFERENCES indexes (id), 
	CONSTRAINT fk_index_images_image_id FOREIGN KEY(image_id) REFERENCES images (id)
)
 WITHOUT ROWID

;
CREATE TABLE indexes (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	digest TEXT NOT NULL, 
	CONSTRAINT uq_indexes_digest UNIQUE (digest)
);
CREATE TABLE instructions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	text TEXT NOT NULL, 
	hash BLOB NOT NULL, 
	CONSTRAINT uq_instructions_hash UNIQUE (hash)
);
INSERT INTO "instructions" VALUES(1,' LABEL org.opencontainers.image.title=made-up',X'1C1FF571983E7698C956DC5E4D4CE4B4');
INSERT INTO "instructions" VALUES(2,'RUN /bin/sh -c apt-get update && apt-get install -y ca-certificates # buildkit',X'3E6319036432990DAD7E2296F2025C68');
INSERT INTO "instructions" VALUES(3,'COPY /out/ /usr/local/bin/ # buildkit',X'B10D4495F7DD23EA9D0164F3E475481B');
INSERT INTO "instructions" VALUES(4,' ENTRYPOINT ["/usr/local/bin/server"]',X'1BB91D366E6F474FF6EDADBF86263789');
INSERT INTO "instructions" VALUES(5,'Apply image 10.0.20348.2340',X'577E2670BC7129B78D02A21BB80CD0CB');
INSERT INTO "instructions" VALUES(6,'ADD file:def64e75c6920428b280e1bbb5d85e923f0e0c62cbee8e75589e53d2d73826aa in / ',X'D95993276F96C99E349E74AA9434606F');
INSERT INTO "instructions" VALUES(7,' CMD ["/bin/sh"]',X'D25AF6C4510DC48DEA59A4CDEF73BFEF');
INSERT INTO "instructions" VALUES(18,'ADD file:8f65fc4e6b5de83112d567894bf2bda2105c7e7c6af32d8b21fd8b34d9089e90 in / ',X'0EBC2905DAC70C1288754A081B23E616');
INSERT INTO "instructions" VALUES(19,'ADD file:bd284ab11863b42387f34ea390511b22ff33184b4322e529afdd1e0dafc0afef in / ',X'D4A461A41349BE72413950636EC911C3');
CREATE TABLE jobs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind TEXT NOT NULL, 
	lane TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	args TEXT NOT NULL, 
	priority SMALLINT NOT NULL, 
	state TEXT NOT NULL, 
	run_at VARCHAR(20) NOT NULL, 
	attempt INTEGER NOT NULL, 
	max_attempts INTEGER NOT NULL, 
	rescues INTEGER DEFAULT '0' NOT NULL, 
	lease_owner TEXT, 
	lease_until VARCHAR(20), 
	last_error TEXT, 
	fresh_after VARCHAR(20) NOT NULL, 
	created_at VARCHAR(20) NOT NULL, 
	finished_at VARCHAR(20), shard SMALLINT DEFAULT '0' NOT NULL, 
	CONSTRAINT ck_jobs_lease CHECK ((state = 'running') = (lease_owner IS NOT NULL)), 
	CONSTRAINT ck_jobs_finished CHECK ((state IN ('done', 'dead')) = (finished_at IS NOT NULL)), 
	CONSTRAINT ck_jobs_state CHECK (state IN ('waiting', 'ready', 'running', 'done', 'dead'))
);
INSERT INTO "jobs" VALUES(1,'namespace.page','hub','namespace.page:umbrella:all:latest:free:1','{"subject":"umbrella"}',1,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',32);
INSERT INTO "jobs" VALUES(2,'repository','hub','repository:library/hello-world::all:latest:free','{"subject":"library/hello-world"}',2,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',49);
INSERT INTO "jobs" VALUES(3,'repository','hub','repository:umbrella/nowhere::all:latest:free','{"subject":"umbrella/nowhere"}',2,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',32);
INSERT INTO "jobs" VALUES(4,'search.page','search','search.page:nginx:all:latest:free:1','{"subject":"nginx"}',1,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',24);
INSERT INTO "jobs" VALUES(5,'repository','hub','repository:umbrella/one::all:latest:free','{"subject":"umbrella/one","updated":"2026-06-01T03:04:00Z","modified":"2024-10-16T13:48:34Z"}',2,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',32);
INSERT INTO "jobs" VALUES(6,'tags.page','hub','tags.page:library/hello-world:all:latest:free:1','{"subject":"library/hello-world","updated":"2026-06-01T00:46:00Z"}',3,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',49);
INSERT INTO "jobs" VALUES(7,'repository','hub','repository:library/nginx::all:latest:free','{"subject":"library/nginx"}',2,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',49);
INSERT INTO "jobs" VALUES(8,'tags.page','hub','tags.page:umbrella/one:all:latest:free:1','{"subject":"umbrella/one","updated":"2026-06-01T03:04:00Z"}',3,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',32);
INSERT INTO "jobs" VALUES(9,'images','hub','images:sha256:a7bb58c4999ef83300770ccc0153d59fb5eb92c6863e96b01ff6c769ec36d988:free','{"subject":"library/hello-world","tag":"latest","digest":"sha256:a7bb58c4999ef83300770ccc0153d59fb5eb92c6863e96b01ff6c769ec36d988"}',4,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',49);
INSERT INTO "jobs" VALUES(10,'tags.page','hub','tags.page:library/nginx:all:latest:free:1','{"subject":"library/nginx","updated":"2026-06-01T00:15:00Z"}',3,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',49);
INSERT INTO "jobs" VALUES(11,'images','hub','images:sha256:0e88da415b2cf02a4924d4a8f5c576a18f83b202a8c3ab68cb7cb48f921e83df:free','{"subject":"umbrella/one","tag":"latest","digest":"sha256:0e88da415b2cf02a4924d4a8f5c576a18f83b202a8c3ab68cb7cb48f921e83df"}',4,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',32);
INSERT INTO "jobs" VALUES(12,'images','hub','images:sha256:608bf9064eb3754f023da2fecda7d8b27cdee21539e2842ce1b4f52bf9a82938:free','{"subject":"library/nginx","tag":"latest","digest":"sha256:608bf9064eb3754f023da2fecda7d8b27cdee21539e2842ce1b4f52bf9a82938"}',4,'done','2026-11-21T17:35:23Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',49);
INSERT INTO "jobs" VALUES(13,'namespace.page','hub','namespace.page:umbrella:all:latest:free:1','{"subject":"umbrella"}',1,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',32);
INSERT INTO "jobs" VALUES(14,'repository','hub','repository:library/hello-world::all:latest:free','{"subject":"library/hello-world"}',2,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',49);
INSERT INTO "jobs" VALUES(15,'repository','hub','repository:umbrella/nowhere::all:latest:free','{"subject":"umbrella/nowhere"}',2,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',32);
INSERT INTO "jobs" VALUES(16,'search.page','search','search.page:nginx:all:latest:free:1','{"subject":"nginx"}',1,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',24);
INSERT INTO "jobs" VALUES(17,'repository','hub','repository:umbrella/two::all:latest:free','{"subject":"umbrella/two","updated":"2026-06-01T03:08:00Z","modified":"2024-10-16T13:48:34Z"}',2,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',32);
INSERT INTO "jobs" VALUES(18,'repository','hub','repository:umbrella/one::all:latest:free','{"subject":"umbrella/one","updated":"2026-06-01T03:06:00Z","modified":"2024-10-16T13:48:34Z"}',2,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',32);
INSERT INTO "jobs" VALUES(19,'tag_names','registry','tag_names:library/hello-world:all:latest:free','{"subject":"library/hello-world","updated":"2026-06-01T00:46:00Z"}',3,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:25Z',49);
INSERT INTO "jobs" VALUES(20,'tag_names','registry','tag_names:umbrella/one:all:latest:free','{"subject":"umbrella/one","updated":"2026-06-01T03:06:00Z"}',3,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:25Z',32);
INSERT INTO "jobs" VALUES(21,'repository','hub','repository:library/nginx::all:latest:free','{"subject":"library/nginx"}',2,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',49);
INSERT INTO "jobs" VALUES(22,'tags.page','hub','tags.page:umbrella/two:all:latest:free:1','{"subject":"umbrella/two","updated":"2026-06-01T03:08:00Z"}',3,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',32);
INSERT INTO "jobs" VALUES(23,'tag_names','registry','tag_names:library/nginx:all:latest:free','{"subject":"library/nginx","updated":"2026-06-01T00:15:00Z"}',3,'done','2026-11-21T17:35:24Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:25Z',49);
INSERT INTO "jobs" VALUES(24,'tags.page','hub','tags.page:library/hello-world:all:latest:free:1','{"subject":"library/hello-world","updated":"2026-06-01T00:46:00Z"}',3,'done','2026-11-21T17:35:25Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:25Z','2026-11-21T17:35:25Z',49);
INSERT INTO "jobs" VALUES(25,'tags.page','hub','tags.page:library/nginx:all:latest:free:1','{"subject":"library/nginx","updated":"2026-06-01T00:15:00Z"}',3,'done','2026-11-21T17:35:25Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:25Z','2026-11-21T17:35:25Z',49);
INSERT INTO "jobs" VALUES(26,'tag','hub','tag:umbrella/one:0.9:all:none:free','{"subject":"umbrella/one","layers":"none","tag":"0.9"}',3,'done','2026-11-21T17:35:25Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:25Z','2026-11-21T17:35:25Z',32);
INSERT INTO "jobs" VALUES(27,'tags.page','hub','tags.page:umbrella/one:all:latest:free:1','{"subject":"umbrella/one","updated":"2026-06-01T03:06:00Z"}',3,'done','2026-11-21T17:35:25Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:25Z','2026-11-21T17:35:25Z',32);
INSERT INTO "jobs" VALUES(28,'images','hub','images:sha256:f49980f1995ffb492c9097a12b32d076030dfdad91f38cda1c6f28e6ac184922:free','{"subject":"umbrella/one","tag":"latest","digest":"sha256:f49980f1995ffb492c9097a12b32d076030dfdad91f38cda1c6f28e6ac184922"}',4,'done','2026-11-21T17:35:25Z',1,5,0,NULL,NULL,NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:25Z','2026-11-21T17:35:25Z',32);
CREATE TABLE layers (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	digest TEXT NOT NULL, 
	size BIGINT, 
	media_type TEXT, 
	first_seen_at VARCHAR(20) NOT NULL, 
	CONSTRAINT uq_layers_digest UNIQUE (digest)
);
INSERT INTO "layers" VALUES(1,'sha256:2440041cf2199f4b94c4b5b5e214201343831fe1fb6068f88a13805345c885ea',37641950,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(2,'sha256:73aaac94cbf1dac3f8673e8a3a09b9b839975f58857b5f9eba766cd25f3b1ed6',36496959,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(3,'sha256:a521e824ef7328c19001fd4fce9a72ededd29fe5baa7a13fe245218a727ca0b9',264,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(4,'sha256:214d75b61ac3869279c6cbd9413dece3594f78be52a7ca0e708c572fe200ed48',327,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(5,'sha256:1e3ed877d6eaf336ec42832f724b1d49e32312c294d786270c635d17a7003bf5',110066276,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(6,'sha256:6df14954a8ada86328a156b029e7adc3501edc1f1b712df0e131b14d570e67ca',11315757,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(7,'sha256:2e86f9012a0bb8f43ef8a03e1c643b22a362d3ab686dd34aea809bb9e7e0b541',30740212,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(8,'sha256:882503e5f466bdacc74e0e09ce229b258b292b589862bc5ee7e3f5dac1304c14',11884653,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(9,'sha256:5cfec488aecd669fb2df1fc2fe36b3a4f3f58bd5237a8cf44a0f72bc76f3f83f',18157659,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(10,'sha256:cb3875bc0802e54075ed7be9b06881eb34831053455ea97bea9ceb0210e5e6c4',23995892,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(13,'sha256:3fec85ed9d697f67c7fcbfff9c60443735d0489cbf6bc15b7cfc54b50e146a7f',36017314,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(14,'sha256:e4cb8866c558a1f6378acf51c10b8830c9411b68bcfac4876fb45243f75a0e6e',265,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(15,'sha256:16a00ce895cae299e8ff9eda57097f8c3d62a29b06e71d1599e5c167a1f5cfcf',328,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(16,'sha256:d9679114a9df3bd6c3386b1cec2ef104b27eac84ee4a66333acfdcc6e42b1272',39183018,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(17,'sha256:69f906dc6b4c6d214d46f6749a37c1faec500390312db0eab71308d88ff5962f',28017989,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(18,'sha256:e19ceb240a1d08e75f22319a203d72cbe8ed1b887cc48700dbf41c1f9b5f173d',12604705,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(19,'sha256:016d6b566ac7136389e1ebaeb1a5be89e3a1729cd6e57eaaa9b3f8e9b458a1e7',265,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(20,'sha256:a180b64cab5f6216d9a752ff70117fe2ad6dea2953e619e579b695bc1d3a2947',328,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(21,'sha256:ed6754ca38bb9e49ce7c45ac5b1dbebdedd274239f7c95df9499859de9d12fdb',7848423,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(22,'sha256:d9e6fedc7d98a81813abfe839f42017302d952b056abad27bf3c5453a09f18b7',5055566,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(23,'sha256:9db51548f161377d45e242e81ce538de621547aaba4afeebe67e0e1497263d86',27298541,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(24,'sha256:67c2cec691eab94971bffb6607c268a54d0473be983e3381b7b544280b3b5717',265,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(25,'sha256:586ac1540e92def1eccc2b6fe0bc518d6a58827bf70e26a53b1b429cf21448ae',328,NULL,'2026-11-21T17:35:23Z');
INSERT INTO "layers" VALUES(28,'sha256:311c33fa58e942336f4f7055725a25bda674d95cfc01f210689d80e973223d46',13988574,NULL,'2026-11-21T17:35:25Z');
CREATE TABLE listing_names (
	listing_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_listing_names PRIMARY KEY (listing_id, name), 
	CONSTRAINT fk_listing_names_listing_id FOREIGN KEY(listing_id) REFERENCES listings (id)
)
 WITHOUT ROWID

;
INSERT INTO "listing_names" VALUES(6,'umbrella/one');
INSERT INTO "listing_names" VALUES(6,'umbrella/two');
INSERT INTO "listing_names" VALUES(7,'library/nginx');
CREATE TABLE listings (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	repository_id INTEGER, 
	started_at VARCHAR(20) NOT NULL, 
	finished_at VARCHAR(20), 
	reported_count BIGINT, 
	rows BIGINT NOT NULL, 
	stop_reason TEXT, 
	is_complete BOOLEAN NOT NULL, 
	first_count BIGINT, 
	refused BIGINT NOT NULL, 
	next_page TEXT, 
	walk_key TEXT NOT NULL, subject_updated VARCHAR(20), 
	CONSTRAINT fk_listings_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
INSERT INTO "listings" VALUES(1,'namespace','umbrella',NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',1,1,'end',1,1,0,NULL,'namespace.page:umbrella:all:latest:free',NULL);
INSERT INTO "listings" VALUES(2,'search','nginx',NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',1,1,'end',1,1,0,NULL,'search.page:nginx:all:latest:free',NULL);
INSERT INTO "listings" VALUES(3,'tags','library/hello-world',2,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',3,3,'end',1,3,0,NULL,'tags.page:library/hello-world:all:latest:free','2026-06-01T00:46:00Z');
INSERT INTO "listings" VALUES(4,'tags','umbrella/one',1,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',3,3,'end',1,3,0,NULL,'tags.page:umbrella/one:all:latest:free','2026-06-01T03:04:00Z');
INSERT INTO "listings" VALUES(5,'tags','library/nginx',3,'2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',6,6,'end',1,6,0,NULL,'tags.page:library/nginx:all:latest:free','2026-06-01T00:15:00Z');
INSERT INTO "listings" VALUES(6,'namespace','umbrella',NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',2,2,'end',1,2,0,NULL,'namespace.page:umbrella:all:latest:free',NULL);
INSERT INTO "listings" VALUES(7,'search','nginx',NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',1,1,'end',1,1,0,NULL,'search.page:nginx:all:latest:free',NULL);
INSERT INTO "listings" VALUES(8,'tags','umbrella/two',6,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',2,2,'end',1,2,0,NULL,'tags.page:umbrella/two:all:latest:free','2026-06-01T03:08:00Z');
INSERT INTO "listings" VALUES(9,'tag_names','library/hello-world',2,'2026-11-21T17:35:25Z','2026-11-21T17:35:25Z',3,3,'end',1,3,0,NULL,'tag_names:library/hello-world','2026-06-01T00:46:00Z');
INSERT INTO "listings" VALUES(10,'tag_names','library/nginx',3,'2026-11-21T17:35:25Z','2026-11-21T17:35:25Z',6,6,'end',1,6,0,NULL,'tag_names:library/nginx','2026-06-01T00:15:00Z');
INSERT INTO "listings" VALUES(11,'tag_names','umbrella/one',1,'2026-11-21T17:35:25Z','2026-11-21T17:35:25Z',2,2,'end',1,2,0,NULL,'tag_names:umbrella/one','2026-06-01T03:06:00Z');
INSERT INTO "listings" VALUES(12,'tags','umbrella/one',1,'2026-11-21T17:35:25Z','2026-11-21T17:35:25Z',2,2,'end',1,2,0,NULL,'tags.page:umbrella/one:all:latest:free','2026-06-01T03:06:00Z');
CREATE TABLE notifiers (
	name TEXT NOT NULL, 
	last_event_id BIGINT NOT NULL, 
	enrolled_at VARCHAR(20) NOT NULL, 
	uuid TEXT NOT NULL, 
	CONSTRAINT pk_notifiers PRIMARY KEY (name)
)
 WITHOUT ROWID

;
CREATE TABLE processes (
	owner TEXT NOT NULL, 
	command TEXT NOT NULL, 
	version TEXT NOT NULL, 
	started_at VARCHAR(20) NOT NULL, 
	seen_at VARCHAR(20) NOT NULL, 
	stretch FLOAT DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_processes PRIMARY KEY (owner)
)
 WITHOUT ROWID

;
CREATE TABLE pull_history (
	repository_id INTEGER NOT NULL, 
	observed_at BIGINT NOT NULL, 
	pull_count BIGINT NOT NULL, 
	star_count BIGINT, 
	source SMALLINT NOT NULL, 
	CONSTRAINT pk_pull_history PRIMARY KEY (repository_id, observed_at), 
	CONSTRAINT fk_pull_history_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id)
)
 WITHOUT ROWID

;
INSERT INTO "pull_history" VALUES(1,1795282523,0,0,1);
INSERT INTO "pull_history" VALUES(2,1795282523,2000000000,2345,1);
INSERT INTO "pull_history" VALUES(3,1795282523,13437965584,21268,1);
INSERT INTO "pull_history" VALUES(6,1795282524,0,0,1);
CREATE TABLE repositories (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	namespace TEXT NOT NULL, 
	name TEXT NOT NULL, 
	full_name TEXT NOT NULL, 
	description TEXT, 
	full_description TEXT, 
	pull_count BIGINT, 
	star_count BIGINT, 
	last_updated VARCHAR(20), 
	last_modified VARCHAR(20), 
	date_registered VARCHAR(20), 
	status BIGINT, 
	status_description TEXT, 
	repository_type TEXT, 
	is_official BOOLEAN NOT NULL, 
	is_automated BOOLEAN, 
	is_private BOOLEAN, 
	hub_user TEXT, 
	affiliation TEXT, 
	collaborator_count BIGINT, 
	categories TEXT, 
	content_types TEXT, 
	media_types TEXT, 
	storage_size BIGINT, 
	immutable_tags TEXT, 
	source TEXT, 
	first_seen_at VARCHAR(20) NOT NULL, 
	last_seen_at VARCHAR(20) NOT NULL, 
	gone_at VARCHAR(20), 
	next_check_at VARCHAR(20), 
	detailed_at VARCHAR(20), 
	detail_last_modified VARCHAR(20), 
	tags_walked_at VARCHAR(20), 
	tags_last_updated VARCHAR(20), chapter INTEGER DEFAULT '1' NOT NULL, looked_at VARCHAR(20), 
	CONSTRAINT uq_repositories_full_name UNIQUE (full_name)
);
INSERT INTO "repositories" VALUES(1,'umbrella','one','umbrella/one','',NULL,0,0,'2026-06-01T03:06:00Z','2024-10-16T13:48:34Z','2015-05-19T21:13:35Z',1,'active','image',0,0,0,'umbrella','',0,'[]','["image"]','["application/vnd.oci.image.config.v1+json"]',121131534,'{"enabled":false,"rules":[".*"]}',NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:24Z',NULL,NULL,'2026-11-21T17:35:23Z','2024-10-16T13:48:34Z','2026-11-21T17:35:25Z','2026-06-01T03:06:00Z',1,'2026-11-21T17:35:24Z');
INSERT INTO "repositories" VALUES(2,'library','hello-world','library/hello-world','Hello World! (an example)',NULL,2000000000,2345,'2026-06-01T00:46:00Z','2024-10-16T13:48:34Z','2015-05-19T21:13:35Z',1,'active','image',1,0,0,'library',NULL,0,'[]','["image"]','["application/vnd.oci.image.index.v1+json","application/vnd.oci.image.config.v1+json"]',226263590,'{"enabled":false,"rules":[".*"]}',NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:24Z',NULL,NULL,'2026-11-21T17:35:24Z','2024-10-16T13:48:34Z','2026-11-21T17:35:23Z','2026-06-01T00:46:00Z',1,'2026-11-21T17:35:24Z');
INSERT INTO "repositories" VALUES(3,'library','nginx','library/nginx','Official build of Nginx.','# nginx

Official build of Nginx..
',13437965584,21268,'2026-06-01T00:15:00Z','2024-10-16T13:48:34Z','2015-05-19T21:13:35Z',1,'active','image',1,0,0,'library',NULL,0,'[{"name":"Web servers","slug":"web-servers"}]','["image"]','["application/vnd.oci.image.index.v1+json"]',539574258,'{"enabled":false,"rules":[".*"]}',NULL,'2026-11-21T17:35:23Z','2026-11-21T17:35:24Z',NULL,NULL,'2026-11-21T17:35:24Z','2024-10-16T13:48:34Z','2026-11-21T17:35:23Z','2026-06-01T00:15:00Z',1,'2026-11-21T17:35:24Z');
INSERT INTO "repositories" VALUES(6,'umbrella','two','umbrella/two','',NULL,0,0,'2026-06-01T03:08:00Z','2024-10-16T13:48:34Z','2015-05-19T21:13:35Z',1,'active','image',0,0,0,'umbrella','',0,'[]','["image"]','["application/vnd.oci.image.config.v1+json"]',94102515,'{"enabled":false,"rules":[".*"]}',NULL,'2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',NULL,NULL,'2026-11-21T17:35:24Z','2024-10-16T13:48:34Z','2026-11-21T17:35:24Z','2026-06-01T03:08:00Z',1,'2026-11-21T17:35:24Z');
CREATE TABLE run_jobs (
	run_id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	CONSTRAINT pk_run_jobs PRIMARY KEY (run_id, job_id), 
	CONSTRAINT fk_run_jobs_job_id FOREIGN KEY(job_id) REFERENCES jobs (id), 
	CONSTRAINT fk_run_jobs_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
)
 WITHOUT ROWID

;
INSERT INTO "run_jobs" VALUES(1,1);
INSERT INTO "run_jobs" VALUES(1,2);
INSERT INTO "run_jobs" VALUES(1,3);
INSERT INTO "run_jobs" VALUES(1,4);
INSERT INTO "run_jobs" VALUES(1,5);
INSERT INTO "run_jobs" VALUES(1,6);
INSERT INTO "run_jobs" VALUES(1,7);
INSERT INTO "run_jobs" VALUES(1,8);
INSERT INTO "run_jobs" VALUES(1,9);
INSERT INTO "run_jobs" VALUES(1,10);
INSERT INTO "run_jobs" VALUES(1,11);
INSERT INTO "run_jobs" VALUES(1,12);
INSERT INTO "run_jobs" VALUES(2,13);
INSERT INTO "run_jobs" VALUES(2,14);
INSERT INTO "run_jobs" VALUES(2,15);
INSERT INTO "run_jobs" VALUES(2,16);
INSERT INTO "run_jobs" VALUES(2,17);
INSERT INTO "run_jobs" VALUES(2,18);
INSERT INTO "run_jobs" VALUES(2,19);
INSERT INTO "run_jobs" VALUES(2,20);
INSERT INTO "run_jobs" VALUES(2,21);
INSERT INTO "run_jobs" VALUES(2,22);
INSERT INTO "run_jobs" VALUES(2,23);
INSERT INTO "run_jobs" VALUES(2,24);
INSERT INTO "run_jobs" VALUES(2,25);
INSERT INTO "run_jobs" VALUES(2,26);
INSERT INTO "run_jobs" VALUES(2,27);
INSERT INTO "run_jobs" VALUES(2,28);
CREATE TABLE runs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	fingerprint TEXT NOT NULL, 
	started_at VARCHAR(20) NOT NULL, 
	pass_began_at VARCHAR(20) NOT NULL, 
	finished_at VARCHAR(20)
);
INSERT INTO "runs" VALUES(1,'{"layers": "latest", "pulls": false, "tags": "all", "targets": ["umbrella/*", "library/hello-world", "umbrella/nowhere", "search:nginx"]}','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z');
INSERT INTO "runs" VALUES(2,'{"layers": "latest", "pulls": false, "tags": "all", "targets": ["umbrella/*", "library/hello-world", "umbrella/nowhere", "search:nginx"]}','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z','2026-11-21T17:35:25Z');
CREATE TABLE tag_history (
	tag_id INTEGER NOT NULL, 
	seen_from BIGINT NOT NULL, 
	digest TEXT, 
	seen_until BIGINT, 
	pushed_at BIGINT, 
	source TEXT NOT NULL, last_seen BIGINT, last_updater TEXT, pushes TEXT, 
	CONSTRAINT pk_tag_history PRIMARY KEY (tag_id, seen_from), 
	CONSTRAINT fk_tag_history_tag_id FOREIGN KEY(tag_id) REFERENCES tags (id)
)
 WITHOUT ROWID

;
INSERT INTO "tag_history" VALUES(1,1795282523,'sha256:a7bb58c4999ef83300770ccc0153d59fb5eb92c6863e96b01ff6c769ec36d988',NULL,1780274760,'listing',NULL,'doijanky',NULL);
INSERT INTO "tag_history" VALUES(2,1795282523,'sha256:9ff6a95066c160d9f4fc6b36ee9b1bc11e098078991d5f8715552f441e106484',NULL,1780274700,'listing',NULL,'doijanky',NULL);
INSERT INTO "tag_history" VALUES(3,1795282523,'sha256:401ae90cd7a7f47e689b7293e6135af5fb1d2e976fe6a00ea00417a80a231f49',NULL,1780274640,'listing',NULL,'doijanky',NULL);
INSERT INTO "tag_history" VALUES(4,1795282523,'sha256:d56b63228aee5a58826706af9308d56c01f82b818ee93696a767ac54fb82ef74',1795282525,1780283040,'listing',1795282523,'umbrella',NULL);
INSERT INTO "tag_history" VALUES(4,1795282525,NULL,NULL,NULL,'detail',NULL,NULL,NULL);
INSERT INTO "tag_history" VALUES(5,1795282523,'sha256:17e258e26f898feaed42c2f89afa2f1eefa1c3d39329a35ac3450b4188f157ec',1795282525,1780282980,'listing',1795282523,'umbrella',NULL);
INSERT INTO "tag_history" VALUES(5,1795282525,'sha256:2e2ec4f7b8d11fdf8eb0822fd75030cf910e9aa90b18468832f20458c40510e1',NULL,1780283160,'listing',NULL,'umbrella',NULL);
INSERT INTO "tag_history" VALUES(6,1795282523,'sha256:0e88da415b2cf02a4924d4a8f5c576a18f83b202a8c3ab68cb7cb48f921e83df',1795282525,1780282920,'listing',1795282523,'umbrella',NULL);
INSERT INTO "tag_history" VALUES(6,1795282525,'sha256:f49980f1995ffb492c9097a12b32d076030dfdad91f38cda1c6f28e6ac184922',NULL,1780283100,'listing',NULL,'umbrella',NULL);
INSERT INTO "tag_history" VALUES(7,1795282523,'sha256:608bf9064eb3754f023da2fecda7d8b27cdee21539e2842ce1b4f52bf9a82938',NULL,1780272900,'listing',NULL,'doijanky',NULL);
INSERT INTO "tag_history" VALUES(8,1795282523,'sha256:608bf9064eb3754f023da2fecda7d8b27cdee21539e2842ce1b4f52bf9a82938',NULL,1780272840,'listing',NULL,'doijanky',NULL);
INSERT INTO "tag_history" VALUES(9,1795282523,'sha256:b3bb06fd6457b9d7ba59842fe09534185f8cf18562332949261c83d086543a66',NULL,1780272780,'listing',NULL,'doijanky',NULL);
INSERT INTO "tag_history" VALUES(10,1795282523,'sha256:b5139a65add367b881fc2c18d9d8956f9a1d23776d512dc53cb971c835431685',NULL,1780272720,'listing',NULL,'doijanky',NULL);
INSERT INTO "tag_history" VALUES(11,1795282523,'sha256:679fadc90b11a05a37a158caa23598a2c3f1cbbf0461a867714d2c3152b109f8',NULL,1780272660,'listing',NULL,'doijanky',NULL);
INSERT INTO "tag_history" VALUES(12,1795282523,'sha256:91d7a5ca98fb1bed272b5a44f6be76fbc0920e211e4d13c3b1ffcb6c74179a26',NULL,1780272600,'listing',NULL,'doijanky',NULL);
INSERT INTO "tag_history" VALUES(13,1795282524,'sha256:fa9c400a22d495c033594230b641c8d8b45d98b39e8ec662772c980fb05571e9',NULL,1780283280,'listing',NULL,'umbrella',NULL);
INSERT INTO "tag_history" VALUES(14,1795282524,'sha256:80020b027b5342c9f6f4e8e16a70f7f785c6d14a14c53a67a0fa211555514bbe',NULL,1780283220,'listing',NULL,'umbrella',NULL);
CREATE TABLE tag_images (
	tag_id INTEGER NOT NULL, 
	image_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	size BIGINT, 
	status TEXT, 
	last_pulled VARCHAR(20), 
	last_pushed VARCHAR(20), 
	CONSTRAINT pk_tag_images PRIMARY KEY (tag_id, image_id), 
	CONSTRAINT fk_tag_images_image_id FOREIGN KEY(image_id) REFERENCES images (id), 
	CONSTRAINT fk_tag_images_tag_id FOREIGN KEY(tag_id) REFERENCES tags (id)
)
 WITHOUT ROWID

;
INSERT INTO "tag_images" VALUES(1,1,0,74138909,'active','2026-06-01T00:46:00Z','2026-06-01T00:46:00Z');
INSERT INTO "tag_images" VALUES(1,2,1,591,'active','2026-06-01T00:46:00Z','2026-06-01T00:46:00Z');
INSERT INTO "tag_images" VALUES(1,3,2,152122245,'active','2026-06-01T00:46:00Z','2026-06-01T00:46:00Z');
INSERT INTO "tag_images" VALUES(2,3,0,152122245,'active','2026-06-01T00:45:00Z','2026-06-01T00:45:00Z');
INSERT INTO "tag_images" VALUES(3,1,0,74138909,'active','2026-06-01T00:44:00Z','2026-06-01T00:44:00Z');
INSERT INTO "tag_images" VALUES(3,2,1,591,'active','2026-06-01T00:44:00Z','2026-06-01T00:44:00Z');
INSERT INTO "tag_images" VALUES(4,4,0,52209640,'active','2026-06-01T03:04:00Z','2026-06-01T03:04:00Z');
INSERT INTO "tag_images" VALUES(5,49,0,45623198,'active','2026-06-01T03:06:00Z','2026-06-01T03:06:00Z');
INSERT INTO "tag_images" VALUES(6,50,0,44030886,'active','2026-06-01T03:05:00Z','2026-06-01T03:05:00Z');
INSERT INTO "tag_images" VALUES(7,10,0,66059626,'active','2026-06-01T00:15:00Z','2026-06-01T00:15:00Z');
INSERT INTO "tag_images" VALUES(7,11,1,593,'active','2026-06-01T00:15:00Z','2026-06-01T00:15:00Z');
INSERT INTO "tag_images" VALUES(7,12,2,79805712,'active','2026-06-01T00:15:00Z','2026-06-01T00:15:00Z');
INSERT INTO "tag_images" VALUES(7,13,3,593,'active','2026-06-01T00:15:00Z','2026-06-01T00:15:00Z');
INSERT INTO "tag_images" VALUES(7,14,4,40202530,'active','2026-06-01T00:15:00Z','2026-06-01T00:15:00Z');
INSERT INTO "tag_images" VALUES(7,15,5,593,'active','2026-06-01T00:15:00Z','2026-06-01T00:15:00Z');
INSERT INTO "tag_images" VALUES(8,10,0,66059626,'active','2026-06-01T00:14:00Z','2026-06-01T00:14:00Z');
INSERT INTO "tag_images" VALUES(8,11,1,593,'active','2026-06-01T00:14:00Z','2026-06-01T00:14:00Z');
INSERT INTO "tag_images" VALUES(8,12,2,79805712,'active','2026-06-01T00:14:00Z','2026-06-01T00:14:00Z');
INSERT INTO "tag_images" VALUES(8,13,3,593,'active','2026-06-01T00:14:00Z','2026-06-01T00:14:00Z');
INSERT INTO "tag_images" VALUES(8,14,4,40202530,'active','2026-06-01T00:14:00Z','2026-06-01T00:14:00Z');
INSERT INTO "tag_images" VALUES(8,15,5,593,'active','2026-06-01T00:14:00Z','2026-06-01T00:14:00Z');
INSERT INTO "tag_images" VALUES(9,16,0,42381516,'active','2026-06-01T00:13:00Z','2026-06-01T00:13:00Z');
INSERT INTO "tag_images" VALUES(9,17,1,593,'active','2026-06-01T00:13:00Z','2026-06-01T00:13:00Z');
INSERT INTO "tag_images" VALUES(9,18,2,76722568,'active','2026-06-01T00:13:00Z','2026-06-01T00:13:00Z');
INSERT INTO "tag_images" VALUES(9,19,3,593,'active','2026-06-01T00:13:00Z','2026-06-01T00:13:00Z');
INSERT INTO "tag_images" VALUES(9,20,4,26386926,'active','2026-06-01T00:13:00Z','2026-06-01T00:13:00Z');
INSERT INTO "tag_images" VALUES(9,21,5,593,'active','2026-06-01T00:13:00Z','2026-06-01T00:13:00Z');
INSERT INTO "tag_images" VALUES(10,22,0,68147157,'active','2026-06-01T00:12:00Z','2026-06-01T00:12:00Z');
INSERT INTO "tag_images" VALUES(10,23,1,603,'active','2026-06-01T00:12:00Z','2026-06-01T00:12:00Z');
INSERT INTO "tag_images" VALUES(10,24,2,28042906,'active','2026-06-01T00:12:00Z','2026-06-01T00:12:00Z');
INSERT INTO "tag_images" VALUES(10,25,3,603,'active','2026-06-01T00:12:00Z','2026-06-01T00:12:00Z');
INSERT INTO "tag_images" VALUES(10,26,4,93211984,'active','2026-06-01T00:12:00Z','2026-06-01T00:12:00Z');
INSERT INTO "tag_images" VALUES(10,27,5,603,'active','2026-06-01T00:12:00Z','2026-06-01T00:12:00Z');
INSERT INTO "tag_images" VALUES(11,28,0,53584334,'active','2026-06-01T00:11:00Z','2026-06-01T00:11:00Z');
INSERT INTO "tag_images" VALUES(11,29,1,589,'active','2026-06-01T00:11:00Z','2026-06-01T00:11:00Z');
INSERT INTO "tag_images" VALUES(11,30,2,82243394,'active','2026-06-01T00:11:00Z','2026-06-01T00:11:00Z');
INSERT INTO "tag_images" VALUES(11,31,3,589,'active','2026-06-01T00:11:00Z','2026-06-01T00:11:00Z');
INSERT INTO "tag_images" VALUES(11,32,4,40632170,'active','2026-06-01T00:11:00Z','2026-06-01T00:11:00Z');
INSERT INTO "tag_images" VALUES(11,33,5,589,'active','2026-06-01T00:11:00Z','2026-06-01T00:11:00Z');
INSERT INTO "tag_images" VALUES(12,34,0,35676660,'active','2026-06-01T00:10:00Z','2026-06-01T00:10:00Z');
INSERT INTO "tag_images" VALUES(12,35,1,589,'active','2026-06-01T00:10:00Z','2026-06-01T00:10:00Z');
INSERT INTO "tag_images" VALUES(12,36,2,89836149,'active','2026-06-01T00:10:00Z','2026-06-01T00:10:00Z');
INSERT INTO "tag_images" VALUES(12,37,3,589,'active','2026-06-01T00:10:00Z','2026-06-01T00:10:00Z');
INSERT INTO "tag_images" VALUES(12,38,4,47056674,'active','2026-06-01T00:10:00Z','2026-06-01T00:10:00Z');
INSERT INTO "tag_images" VALUES(12,39,5,589,'active','2026-06-01T00:10:00Z','2026-06-01T00:10:00Z');
INSERT INTO "tag_images" VALUES(13,47,0,62105626,'active','2026-06-01T03:08:00Z','2026-06-01T03:08:00Z');
INSERT INTO "tag_images" VALUES(14,48,0,62036925,'active','2026-06-01T03:07:00Z','2026-06-01T03:07:00Z');
CREATE TABLE tags (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	repository_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	digest TEXT, 
	media_type TEXT, 
	content_type TEXT, 
	full_size BIGINT, 
	status TEXT, 
	last_updated VARCHAR(20), 
	last_pushed VARCHAR(20), 
	last_pulled VARCHAR(20), 
	last_updater TEXT, 
	first_seen_at VARCHAR(20) NOT NULL, 
	last_seen_at VARCHAR(20) NOT NULL, 
	gone_at VARCHAR(20), is_name_only BOOLEAN, 
	CONSTRAINT fk_tags_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
INSERT INTO "tags" VALUES(1,2,'latest','sha256:a7bb58c4999ef83300770ccc0153d59fb5eb92c6863e96b01ff6c769ec36d988','application/vnd.oci.image.index.v1+json','image',74138909,'active','2026-06-01T00:46:00Z','2026-06-01T00:46:00Z','2026-06-01T00:46:00Z','doijanky','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',NULL,NULL);
INSERT INTO "tags" VALUES(2,2,'nanoserver','sha256:9ff6a95066c160d9f4fc6b36ee9b1bc11e098078991d5f8715552f441e106484','application/vnd.oci.image.config.v1+json','image',152122245,'active','2026-06-01T00:45:00Z','2026-06-01T00:45:00Z','2026-06-01T00:45:00Z','doijanky','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',NULL,NULL);
INSERT INTO "tags" VALUES(3,2,'linux','sha256:401ae90cd7a7f47e689b7293e6135af5fb1d2e976fe6a00ea00417a80a231f49','application/vnd.oci.image.index.v1+json','image',74138909,'active','2026-06-01T00:44:00Z','2026-06-01T00:44:00Z','2026-06-01T00:44:00Z','doijanky','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',NULL,NULL);
INSERT INTO "tags" VALUES(4,1,'0.9','sha256:d56b63228aee5a58826706af9308d56c01f82b818ee93696a767ac54fb82ef74','application/vnd.oci.image.config.v1+json','image',52209640,'active','2026-06-01T03:04:00Z','2026-06-01T03:04:00Z','2026-06-01T03:04:00Z','umbrella','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z','2026-11-21T17:35:25Z',NULL);
INSERT INTO "tags" VALUES(5,1,'1.0','sha256:2e2ec4f7b8d11fdf8eb0822fd75030cf910e9aa90b18468832f20458c40510e1','application/vnd.oci.image.config.v1+json','image',45623198,'active','2026-06-01T03:06:00Z','2026-06-01T03:06:00Z','2026-06-01T03:06:00Z','umbrella','2026-11-21T17:35:23Z','2026-11-21T17:35:25Z',NULL,NULL);
INSERT INTO "tags" VALUES(6,1,'latest','sha256:f49980f1995ffb492c9097a12b32d076030dfdad91f38cda1c6f28e6ac184922','application/vnd.oci.image.config.v1+json','image',44030886,'active','2026-06-01T03:05:00Z','2026-06-01T03:05:00Z','2026-06-01T03:05:00Z','umbrella','2026-11-21T17:35:23Z','2026-11-21T17:35:25Z',NULL,NULL);
INSERT INTO "tags" VALUES(7,3,'latest','sha256:608bf9064eb3754f023da2fecda7d8b27cdee21539e2842ce1b4f52bf9a82938','application/vnd.oci.image.index.v1+json','image',66059626,'active','2026-06-01T00:15:00Z','2026-06-01T00:15:00Z','2026-06-01T00:15:00Z','doijanky','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',NULL,NULL);
INSERT INTO "tags" VALUES(8,3,'stable','sha256:608bf9064eb3754f023da2fecda7d8b27cdee21539e2842ce1b4f52bf9a82938','application/vnd.oci.image.index.v1+json','image',66059626,'active','2026-06-01T00:14:00Z','2026-06-01T00:14:00Z','2026-06-01T00:14:00Z','doijanky','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',NULL,NULL);
INSERT INTO "tags" VALUES(9,3,'1.29.1','sha256:b3bb06fd6457b9d7ba59842fe09534185f8cf18562332949261c83d086543a66','application/vnd.oci.image.index.v1+json','image',42381516,'active','2026-06-01T00:13:00Z','2026-06-01T00:13:00Z','2026-06-01T00:13:00Z','doijanky','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',NULL,NULL);
INSERT INTO "tags" VALUES(10,3,'1.29-alpine','sha256:b5139a65add367b881fc2c18d9d8956f9a1d23776d512dc53cb971c835431685','application/vnd.oci.image.index.v1+json','image',68147157,'active','2026-06-01T00:12:00Z','2026-06-01T00:12:00Z','2026-06-01T00:12:00Z','doijanky','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',NULL,NULL);
INSERT INTO "tags" VALUES(11,3,'1.29','sha256:679fadc90b11a05a37a158caa23598a2c3f1cbbf0461a867714d2c3152b109f8','application/vnd.oci.image.index.v1+json','image',53584334,'active','2026-06-01T00:11:00Z','2026-06-01T00:11:00Z','2026-06-01T00:11:00Z','doijanky','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',NULL,NULL);
INSERT INTO "tags" VALUES(12,3,'1.28','sha256:91d7a5ca98fb1bed272b5a44f6be76fbc0920e211e4d13c3b1ffcb6c74179a26','application/vnd.oci.image.index.v1+json','image',35676660,'active','2026-06-01T00:10:00Z','2026-06-01T00:10:00Z','2026-06-01T00:10:00Z','doijanky','2026-11-21T17:35:23Z','2026-11-21T17:35:23Z',NULL,NULL);
INSERT INTO "tags" VALUES(13,6,'1.0.1','sha256:fa9c400a22d495c033594230b641c8d8b45d98b39e8ec662772c980fb05571e9','application/vnd.oci.image.config.v1+json','image',62105626,'active','2026-06-01T03:08:00Z','2026-06-01T03:08:00Z','2026-06-01T03:08:00Z','umbrella','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',NULL,NULL);
INSERT INTO "tags" VALUES(14,6,'1.0.0','sha256:80020b027b5342c9f6f4e8e16a70f7f785c6d14a14c53a67a0fa211555514bbe','application/vnd.oci.image.config.v1+json','image',62036925,'active','2026-06-01T03:07:00Z','2026-06-01T03:07:00Z','2026-06-01T03:07:00Z','umbrella','2026-11-21T17:35:24Z','2026-11-21T17:35:24Z',NULL,NULL);
CREATE TABLE walls (
	kind TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	refused_offset BIGINT NOT NULL, 
	learned_at VARCHAR(20) NOT NULL, 
	CONSTRAINT pk_walls PRIMARY KEY (kind, identity)
)
 WITHOUT ROWID

;
CREATE TABLE watches (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	target TEXT NOT NULL, 
	tags TEXT NOT NULL, 
	layers TEXT NOT NULL, 
	every_s INTEGER NOT NULL, 
	fastest_s INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	since VARCHAR(20) NOT NULL, 
	ended_at VARCHAR(20), 
	next_check_at VARCHAR(20), 
	next_counts_at VARCHAR(20), 
	run_id INTEGER, 
	CONSTRAINT fk_watches_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE work_days (
	day TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	state TEXT NOT NULL, 
	jobs BIGINT NOT NULL, 
	attempts BIGINT NOT NULL, 
	CONSTRAINT pk_work_days PRIMARY KEY (day, kind, state)
)
 WITHOUT ROWID

;
CREATE INDEX ix_jobs_claim ON jobs (lane, priority, run_at, id) WHERE state = 'ready';
CREATE INDEX ix_jobs_due ON jobs (run_at) WHERE state = 'waiting';
CREATE INDEX ix_jobs_key ON jobs ("key");
CREATE INDEX ix_jobs_lease ON jobs (lease_until) WHERE state = 'running';
CREATE UNIQUE INDEX uq_jobs_live_key ON jobs ("key") WHERE state IN ('waiting', 'ready', 'running');
CREATE INDEX ix_repositories_namespace ON repositories (namespace);
CREATE INDEX ix_runs_fingerprint ON runs (fingerprint);
CREATE INDEX ix_image_layers_layer_id ON image_layers (layer_id) WHERE layer_id IS NOT NULL;
CREATE INDEX ix_listings_kind_subject ON listings (kind, subject);
CREATE INDEX ix_listings_walk_key ON listings (walk_key, started_at);
CREATE INDEX ix_run_jobs_job_id ON run_jobs (job_id);
CREATE UNIQUE INDEX uq_tags_repository_id_name ON tags (repository_id, name);
CREATE INDEX ix_events_kind_observed_at ON events (kind, observed_at);
CREATE INDEX ix_tag_images_image_id ON tag_images (image_id);
CREATE VIEW v_tags AS 
    SELECT r.full_name, t.name AS tag, t.digest,
        (SELECT group_concat(i.os || '/' || i.architecture || COALESCE('/' || i.variant, ''), ', ' ) FROM (
            SELECT i.os, i.architecture, i.variant FROM tag_images ti JOIN images i ON i.id = ti.image_id
            WHERE ti.tag_id = t.id AND i.kind = 'image' ORDER BY i.os, i.architecture, i.variant) i) AS platforms,
        t.full_size, t.last_pushed, t.last_updated, t.first_seen_at, t.last_seen_at
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NULL;
CREATE VIEW v_tag_images AS 
    SELECT r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform, i.kind, i.digest AS image_digest,
        COALESCE(ti.size, i.size) AS size, ti.last_pulled, ti.last_pushed
    FROM tag_images ti JOIN tags t ON t.id = ti.tag_id JOIN repositories r ON r.id = t.repository_id
    JOIN images i ON i.id = ti.image_id WHERE t.gone_at IS NULL;
CREATE VIEW v_layers AS 
    SELECT r.full_name AS repo_name, t.name AS tag_name, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform, (row_number() OVER (PARTITION BY ti.tag_id, ti.image_id ORDER BY il.step)) - 1 AS layer_index,
        l.digest, l.media_type, l.size AS size_bytes, n.text AS instruction
    FROM tag_images ti JOIN tags t ON t.id = ti.tag_id JOIN repositories r ON r.id = t.repository_id
    JOIN images i ON i.id = ti.image_id JOIN image_layers il ON il.image_id = i.id JOIN layers l ON l.id = il.layer_id
    LEFT JOIN instructions n ON n.id = il.instruction_id
    WHERE t.gone_at IS NULL AND i.kind = 'image';
CREATE VIEW v_pull_history AS 
    SELECT r.full_name, strftime('%Y-%m-%dT%H:%M:%SZ', p.observed_at, 'unixepoch') AS observed_at, p.pull_count, p.star_count,
        CASE p.source WHEN 1 THEN 'detail' WHEN 2 THEN 'listing' WHEN 3 THEN 'search' END AS source
    FROM pull_history p JOIN repositories r ON r.id = p.repository_id;
CREATE VIEW v_shared_layers AS 
    SELECT l.digest, l.size, count(DISTINCT t.repository_id) AS repositories, count(DISTINCT il.image_id) AS images
    FROM layers l JOIN image_layers il ON il.layer_id = l.id JOIN tag_images ti ON ti.image_id = il.image_id
    JOIN tags t ON t.id = ti.tag_id WHERE t.gone_at IS NULL
    GROUP BY l.id, l.digest, l.size HAVING count(DISTINCT t.repository_id) > 1;
CREATE INDEX ix_tags_holes ON tags (repository_id) WHERE is_name_only AND gone_at IS NULL;
CREATE VIEW v_vanished AS 
    SELECT 'repository' AS kind, r.full_name, NULL AS tag, r.gone_at, NULL AS last_digest
    FROM repositories r WHERE r.gone_at IS NOT NULL
    UNION ALL
    SELECT 'tag', r.full_name, t.name, t.gone_at, COALESCE(t.digest, (SELECT h.digest FROM tag_history h
        WHERE h.tag_id = t.id AND h.digest IS NOT NULL ORDER BY h.seen_from DESC LIMIT 1))
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NOT NULL;
CREATE VIEW v_incomplete AS 
    SELECT l.kind, l.subject, l.reported_count, l.rows, COALESCE(l.stop_reason, 'open') AS stop_reason, l.finished_at
    FROM listings l
    WHERE l.is_complete = 0 AND COALESCE(l.stop_reason, 'open') <> 'policy'
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.kind = l.kind AND n.subject = l.subject AND n.id > l.id
            AND n.finished_at IS NOT NULL AND n.stop_reason <> 'policy')
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.walk_key = l.walk_key AND n.id > l.id AND n.finished_at IS NOT NULL);
CREATE VIEW v_holes AS 
    SELECT r.full_name, t.name AS tag, t.first_seen_at, t.last_seen_at
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.is_name_only AND t.gone_at IS NULL;
CREATE INDEX ix_tag_history_digest ON tag_history (digest) WHERE digest IS NOT NULL;
CREATE INDEX ix_images_config_digest ON images (config_digest) WHERE config_digest IS NOT NULL;
CREATE INDEX ix_events_observed_at ON events (observed_at);
CREATE INDEX ix_index_images_image_id ON index_images (image_id);
CREATE UNIQUE INDEX uq_deliveries_notifier_event_id ON deliveries (notifier, event_id);
CREATE INDEX ix_deliveries_waiting ON deliveries (notifier, subject, event_id) WHERE state = 'waiting';
CREATE VIEW v_repositories AS 
    SELECT r.*, (SELECT count(*) FROM tags t WHERE t.repository_id = r.id AND t.gone_at IS NULL) AS tag_count,
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > strftime('%Y-%m-%dT%H:%M:%SZ', p.observed_at, 'unixepoch') AND c.ended_at <= strftime('%Y-%m-%dT%H:%M:%SZ', n.observed_at, 'unixepoch'))
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 1 * 86400 - 43200 AND n.observed_at - 1 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_1d,
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > strftime('%Y-%m-%dT%H:%M:%SZ', p.observed_at, 'unixepoch') AND c.ended_at <= strftime('%Y-%m-%dT%H:%M:%SZ', n.observed_at, 'unixepoch'))
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 7 * 86400 - 43200 AND n.observed_at - 7 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_7d,
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > strftime('%Y-%m-%dT%H:%M:%SZ', p.observed_at, 'unixepoch') AND c.ended_at <= strftime('%Y-%m-%dT%H:%M:%SZ', n.observed_at, 'unixepoch'))
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 30 * 86400 - 43200 AND n.observed_at - 30 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_30d,
        CASE WHEN r.namespace = 'library' THEN 'https://hub.docker.com/_/' || r.name
            ELSE 'https://hub.docker.com/r/' || r.full_name END AS docker_url,
        'docker pull ' || CASE WHEN r.namespace = 'library' THEN r.name ELSE r.full_name END AS pull_command
    FROM repositories r;
CREATE VIEW v_pull_daily AS 
    SELECT full_name, day, pulls, elapsed_s,
        CASE WHEN state IS NOT NULL THEN state
            WHEN pulls > 0 AND lag(state) OVER w IN ('plateau', 'ceiling') THEN 'jump'
            WHEN elapsed_s > 172800 THEN 'gap' END AS flag,
        pull_count, samples
    FROM (
    SELECT full_name, date(observed_at, 'unixepoch') AS day, pulls, elapsed_s, pull_count, samples, observed_at,
        CASE WHEN is_fresh = 1 THEN 'chapter'
            WHEN pull_count = 2147483647 THEN 'ceiling'
            WHEN pulls < 0 THEN 'decrease'
            WHEN pulls > 0 AND pull_count - pulls = 2147483647 THEN NULL
            WHEN 100.0 * (pull_count - still_count) < usual * (observed_at - still_at) / 86400.0 AND late <= 1
                AND (usual * (observed_at - still_at) / 86400.0 >= 100 OR smallest * (observed_at - still_at) / 86400.0 >= 10)
                THEN 'plateau' END AS state
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh,
        CASE WHEN is_move = 1 THEN count_before ELSE max(CASE WHEN is_move = 1 THEN pull_count END) OVER v END AS still_count,
        CASE WHEN is_move = 1 THEN at_before ELSE min(observed_at) OVER v END AS still_at,
        CASE WHEN is_move = 1 THEN usual_before ELSE max(CASE WHEN is_move = 1 THEN usual END) OVER v END AS usual,
        CASE WHEN is_move = 1 THEN smallest_before ELSE max(CASE WHEN is_move = 1 THEN smallest END) OVER v END AS smallest,
        CASE WHEN is_move = 1 THEN late_before ELSE max(CASE WHEN is_move = 1 THEN late END) OVER v END AS late
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, is_move, run, usual, smallest, late,
        lag(pull_count) OVER m AS count_before, lag(observed_at) OVER m AS at_before, lag(usual) OVER m AS usual_before,
        lag(smallest) OVER m AS smallest_before, lag(late) OVER m AS late_before
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter, is_move, run,
        CASE WHEN week_2 IS NULL THEN week_1 WHEN week_3 IS NULL THEN min(week_1, week_2)
            ELSE max(min(week_1, week_2), min(max(week_1, week_2), week_3)) END AS usual,
        min(rate) OVER (m ROWS BETWEEN 13 PRECEDING AND CURRENT ROW) AS smallest,
        sum(is_late) OVER (m ROWS BETWEEN 13 PRECEDING AND CURRENT ROW) AS late
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter, is_move, run, is_late,
        (pull_count - lag(pull_count) OVER m) * 86400.0 / (observed_at - lag(observed_at) OVER m) AS rate,
        (pull_count - lag(pull_count, 7) OVER m) * 86400.0 / (observed_at - lag(observed_at, 7) OVER m) AS week_1,
        (lag(pull_count, 7) OVER m - lag(pull_count, 14) OVER m) * 86400.0
            / (lag(observed_at, 7) OVER m - lag(observed_at, 14) OVER m) AS week_2,
        (lag(pull_count, 14) OVER m - lag(pull_count, 21) OVER m) * 86400.0
            / (lag(observed_at, 14) OVER m - lag(observed_at, 21) OVER m) AS week_3
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter, is_move,
        sum(is_move) OVER w AS run, CASE WHEN pulls IS NOT NULL THEN 1 - lag(is_move) OVER w END AS is_late
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter,
        CASE WHEN pulls = 0 THEN 0
            WHEN pulls > 0 AND before_at > far_at
                AND 100.0 * pulls / elapsed_s < 1.0 * (before_count - far_count) / (before_at - far_at) THEN 0
            ELSE 1 END AS is_move
    FROM (
    SELECT full_name, observed_at, pull_count, samples, before_at, before_count, is_fresh, chapter,
        observed_at - before_at AS elapsed_s, CASE WHEN is_fresh = 0 THEN pull_count - before_count END AS pulls,
        first_value(observed_at) OVER (b ROWS BETWEEN 29 PRECEDING AND 1 PRECEDING) AS far_at,
        first_value(pull_count) OVER (b ROWS BETWEEN 29 PRECEDING AND 1 PRECEDING) AS far_count
    FROM (
    SELECT full_name, observed_at, pull_count, samples, before_at, before_count, is_fresh, sum(is_fresh) OVER w AS chapter
    FROM (
    SELECT full_name, observed_at, pull_count, samples, before_at, before_count,
        CASE WHEN EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = d.repository_id
            AND c.ended_at > strftime('%Y-%m-%dT%H:%M:%SZ', d.before_at, 'unixepoch') AND c.ended_at <= strftime('%Y-%m-%dT%H:%M:%SZ', d.observed_at, 'unixepoch')) THEN 1 ELSE 0 END AS is_fresh
    FROM (
    SELECT full_name, repository_id, observed_at, pull_count, number - COALESCE(lag(number) OVER w, 0) AS samples,
        lag(observed_at) OVER w AS before_at, lag(pull_count) OVER w AS before_count
    FROM (
    SELECT r.full_name, p.repository_id, p.observed_at, p.pull_count,
        row_number() OVER w AS number, lead(p.observed_at) OVER w AS next_at
    FROM pull_history p JOIN repositories r ON r.id = p.repository_id
    WINDOW w AS (PARTITION BY r.full_name ORDER BY p.observed_at)) samples
    WHERE next_at IS NULL OR next_at / 86400 <> observed_at / 86400
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)) d) fresh
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)) numbered
    WINDOW b AS (PARTITION BY full_name, chapter ORDER BY observed_at)) gained) moved
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)) runs
    WINDOW m AS (PARTITION BY full_name, chapter, is_move ORDER BY observed_at)) weeks
    WINDOW m AS (PARTITION BY full_name, chapter, is_move ORDER BY observed_at)) rates
    WINDOW m AS (PARTITION BY full_name, chapter, is_move ORDER BY observed_at)) carried
    WINDOW v AS (PARTITION BY full_name, run)) still) states
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at);
CREATE VIEW v_tag_timeline AS 
    SELECT r.full_name, t.name AS tag, h.digest, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until, strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.source,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL AND h.digest IS NOT NULL
            THEN t.last_seen_at ELSE strftime('%Y-%m-%dT%H:%M:%SZ', h.last_seen, 'unixepoch') END AS last_seen, h.last_updater
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id;
CREATE VIEW v_events AS 
    SELECT e.id, e.observed_at AS observed_at, e.happened_at AS happened_at, e.rank, e.kind,
        r.full_name, t.name AS tag, e.detail
    FROM events e LEFT JOIN repositories r ON r.id = e.repository_id LEFT JOIN tags t ON t.id = e.tag_id;
CREATE VIEW v_digest_whereis AS 
    SELECT h.digest AS digest, CASE WHEN i.id IS NULL THEN 'index' ELSE 'image' END AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN t.last_seen_at
            ELSE strftime('%Y-%m-%dT%H:%M:%SZ', h.last_seen, 'unixepoch') END AS last_seen,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until
    LEFT JOIN images i ON i.digest = h.digest WHERE h.digest IS NOT NULL
    UNION ALL
    SELECT i.digest AS digest, 'image' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN t.last_seen_at
            ELSE strftime('%Y-%m-%dT%H:%M:%SZ', h.last_seen, 'unixepoch') END AS last_seen,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM images i JOIN tag_history h ON h.digest IN (SELECT i.digest
        UNION SELECT t.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id WHERE ti.image_id = i.id
        UNION SELECT x.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id WHERE ii.image_id = i.id) JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until WHERE h.digest <> i.digest
    UNION ALL
    SELECT i.digest AS digest, 'image' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        CAST(NULL AS TEXT) AS seen_from, t.gone_at AS seen_until,
        t.last_seen_at AS last_seen, t.last_pushed AS pushed_at, t.last_updater,
        CASE WHEN t.gone_at IS NOT NULL THEN 'gone' END AS ended
    FROM images i JOIN tag_images ti ON ti.image_id = i.id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id WHERE t.digest IS NULL
    UNION ALL
    SELECT DISTINCT i.config_digest AS digest, 'config' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN t.last_seen_at
            ELSE strftime('%Y-%m-%dT%H:%M:%SZ', h.last_seen, 'unixepoch') END AS last_seen,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM images i JOIN tag_history h ON h.digest IN (SELECT i.digest
        UNION SELECT t.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id WHERE ti.image_id = i.id
        UNION SELECT x.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id WHERE ii.image_id = i.id) JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until WHERE i.config_digest IS NOT NULL
    UNION ALL
    SELECT DISTINCT i.config_digest AS digest, 'config' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        CAST(NULL AS TEXT) AS seen_from, t.gone_at AS seen_until,
        t.last_seen_at AS last_seen, t.last_pushed AS pushed_at, t.last_updater,
        CASE WHEN t.gone_at IS NOT NULL THEN 'gone' END AS ended
    FROM images i JOIN tag_images ti ON ti.image_id = i.id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id WHERE t.digest IS NULL AND i.config_digest IS NOT NULL
    UNION ALL
    SELECT DISTINCT l.digest AS digest, 'layer' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN t.last_seen_at
            ELSE strftime('%Y-%m-%dT%H:%M:%SZ', h.last_seen, 'unixepoch') END AS last_seen,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM layers l JOIN image_layers il ON il.layer_id = l.id JOIN images i ON i.id = il.image_id JOIN tag_history h ON h.digest IN (SELECT i.digest
        UNION SELECT t.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id WHERE ti.image_id = i.id
        UNION SELECT x.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id WHERE ii.image_id = i.id) JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until WHERE il.layer_id IS NOT NULL
    UNION ALL
    SELECT DISTINCT l.digest AS digest, 'layer' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        CAST(NULL AS TEXT) AS seen_from, t.gone_at AS seen_until,
        t.last_seen_at AS last_seen, t.last_pushed AS pushed_at, t.last_updater,
        CASE WHEN t.gone_at IS NOT NULL THEN 'gone' END AS ended
    FROM layers l JOIN image_layers il ON il.layer_id = l.id JOIN images i ON i.id = il.image_id JOIN tag_images ti ON ti.image_id = i.id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id WHERE t.digest IS NULL AND il.layer_id IS NOT NULL;
CREATE UNIQUE INDEX uq_watches_in_force ON watches (target, tags, layers) WHERE ended_at IS NULL;
CREATE INDEX ix_watches_due ON watches (next_check_at) WHERE ended_at IS NULL;
CREATE INDEX ix_repositories_next_check_at ON repositories (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX ix_jobs_dead ON jobs (kind) WHERE state = 'dead';
CREATE INDEX ix_deliveries_dead ON deliveries (notifier) WHERE state = 'dead';
CREATE INDEX ix_events_repository_id ON events (repository_id) WHERE repository_id IS NOT NULL;
CREATE INDEX ix_events_tag_id ON events (tag_id) WHERE tag_id IS NOT NULL;
CREATE INDEX ix_listings_repository_id ON listings (repository_id) WHERE repository_id IS NOT NULL;
CREATE INDEX ix_deliveries_event_id ON deliveries (event_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',2);
INSERT INTO "sqlite_sequence" VALUES('jobs',28);
INSERT INTO "sqlite_sequence" VALUES('repositories',11);
INSERT INTO "sqlite_sequence" VALUES('listings',12);
INSERT INTO "sqlite_sequence" VALUES('tags',16);
INSERT INTO "sqlite_sequence" VALUES('images',51);
INSERT INTO "sqlite_sequence" VALUES('layers',28);
INSERT INTO "sqlite_sequence" VALUES('instructions',25);
INSERT INTO "sqlite_sequence" VALUES('events',4);
INSERT INTO "sqlite_sequence" VALUES('indexes',0);
COMMIT;
